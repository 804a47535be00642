"""Limit checkers on histories written by hand. The limit is 3 in 10 s."""

import pytest

from cryptosense.workbench.claims import admissions, limit_answers
from cryptosense.workbench.claims.admissions import Limit
from cryptosense.workbench.verdicts import Verdict

LIMIT = Limit(3, 10.0)
ABOVE = admissions.never_above_limit("api", limit=LIMIT)
ROOM = admissions.never_denied_with_room("api", limit=LIMIT)
FULL = admissions.overload_gets_full_limit("api", limit=LIMIT)
OBEY = limit_answers.obedient_clients_admitted("api")
TRUTH = limit_answers.retry_after_is_truthful("api", limit=LIMIT)
HEADERS = limit_answers.limit_headers_are_right("api", limit=LIMIT)


def fill(history, *, at=0.0, count=3, **more):
    for number in range(count):
        history.probe(at + number / 10, at + number / 10 + 0.05, 200, **more)


def test_rate_1_as_many_as_the_limit_in_a_window_hold(written):
    fill(written)
    written.probe(1, 1.1, 429)
    fill(written, at=10.2)
    assert written.judged(ABOVE).verdict is Verdict.HOLDS


def test_rate_1_one_more_than_the_limit_convicts_with_limit_plus_one(written):
    fill(written, count=5)
    finding = written.judged(ABOVE)
    assert (finding.verdict, finding.observed, len(finding.evidence)) == (Verdict.VIOLATED, 5, 4)


def test_rate_1_what_may_lie_in_two_windows_does_not_convict(written):
    fill(written)
    written.probe(0.5, 10.2, 200)
    written.probe(1, 1.1, 429)
    assert written.judged(ABOVE).verdict is Verdict.HOLDS


def test_rate_1_two_clients_have_a_budget_each(written):
    fill(written)
    fill(written, actor="bob")
    written.probe(1, 1.1, 429)
    assert written.judged(ABOVE).verdict is Verdict.HOLDS


def test_rate_1_what_passed_and_then_failed_counts_and_what_got_no_answer_does_not_convict(written, another):
    fill(written)
    written.probe(1, 1.1, 404)
    assert written.judged(ABOVE).verdict is Verdict.VIOLATED
    lost = another()
    fill(lost)
    lost.probe(1, 1.1, None)
    lost.probe(1, 1.1, 503)
    lost.probe(2, 2.1, 429)
    assert lost.judged(ABOVE).verdict is Verdict.HOLDS


def test_rate_1_a_limit_that_was_never_reached_is_undecided(written):
    fill(written, count=2)
    assert written.judged(ABOVE).verdict is Verdict.UNDECIDED


def test_rate_1_exactly_the_limit_and_nothing_denied_shows_no_limit(written):
    fill(written)
    assert written.judged(ABOVE).verdict is Verdict.UNDECIDED


def test_rate_1_a_denial_while_there_is_room_convicts_with_that_denial(written):
    fill(written, count=2)
    denial = written.probe(1, 1.1, 429)
    finding = written.judged(ROOM)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (denial,))


def test_rate_1_a_denial_that_a_concurrent_or_unanswered_request_explains_holds(written, another):
    fill(written, count=2)
    written.probe(0.9, 1.5, 200)
    written.probe(1, 1.1, 429)
    assert written.judged(ROOM).verdict is Verdict.HOLDS
    lost = another()
    fill(lost, count=2)
    lost.probe(0.5, 0.6, None)
    lost.probe(5, 5.1, 429)
    assert lost.judged(ROOM).verdict is Verdict.HOLDS


def test_rate_1_a_denial_after_the_window_slid_on_convicts(written):
    fill(written)
    written.probe(10.4, 10.5, 429)
    assert written.judged(ROOM).verdict is Verdict.VIOLATED


def test_rate_1_no_denial_is_undecided_and_one_in_an_outage_is_left_out(written):
    fill(written, count=2)
    assert written.judged(ROOM).verdict is Verdict.UNDECIDED
    written.fault(0.9, 1.2)
    written.probe(1, 1.1, 429)
    spared = admissions.never_denied_with_room("api", limit=LIMIT, spare_outages=True)
    assert written.judged(spared).verdict is Verdict.UNDECIDED
    assert written.judged(ROOM).verdict is Verdict.VIOLATED


def steady(history, pattern):
    """Four requests a window of 10 s, as told by the pattern of passed ones."""
    for number, passed in enumerate(pattern):
        history.probe(number * 2.4, number * 2.4 + 0.05, 200 if passed else 429)


def test_rate_2_a_steady_overload_that_gets_the_limit_in_every_window_holds(written):
    steady(written, [1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1])
    finding = written.judged(FULL)
    assert (finding.verdict, finding.observed) == (Verdict.HOLDS, 3)


def test_rate_2_denied_requests_that_count_starve_the_client(written):
    steady(written, [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    finding = written.judged(FULL)
    assert (finding.verdict, finding.observed) == (Verdict.VIOLATED, 0)
    assert len(finding.evidence) == 1


def test_rate_2_a_single_window_is_undecided(written):
    steady(written, [1, 1, 1, 0, 0])
    assert written.judged(FULL).verdict is Verdict.UNDECIDED


def paused(history, status):
    """An even first window, then nothing, then a crowd of which nobody knows how full its window was."""
    steady(history, [1, 1, 1, 0, 0])
    for number in range(5):
        history.probe(18.1 + number / 5, 18.15 + number / 5, status if number < 3 else 429)


def test_rate_2_a_pause_in_the_load_leaves_its_window_out_and_the_denials_decide(written, another):
    paused(written, 200)
    finding = written.judged(FULL)
    assert (finding.verdict, finding.observed) == (Verdict.HOLDS, "full when denied")
    starved = another()
    paused(starved, 429)
    assert starved.judged(FULL).verdict is Verdict.UNDECIDED
    assert starved.judged(ROOM).verdict is Verdict.VIOLATED


def test_rate_3_the_time_until_a_slot_frees_holds_and_the_whole_window_convicts(written, another):
    fill(written)
    written.probe(7.1, 7.2, 429, retry_after=3)
    assert written.judged(TRUTH).verdict is Verdict.HOLDS
    whole = another()
    fill(whole)
    denial = whole.probe(7.1, 7.2, 429, retry_after=10)
    finding = whole.judged(TRUTH)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (denial,))


@pytest.mark.parametrize("said", [None, 0, "soon"])
def test_rate_3_a_denial_without_a_time_to_wait_convicts(written, said):
    fill(written)
    written.probe(7.1, 7.2, 429, retry_after=said)
    assert written.judged(TRUTH).verdict is Verdict.VIOLATED


def test_rate_3_a_time_that_is_too_short_for_any_placement_convicts(written, another):
    fill(written)
    denial = written.probe(2.1, 2.2, 429, retry_after=1)  # nothing leaves the window before 10
    finding = written.judged(TRUTH)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (denial,))
    assert "were left" in finding.reason
    unsure = another()
    fill(unsure, count=2)
    unsure.probe(0.3, 2.15, 200)  # may have been admitted after the denial
    unsure.probe(0.2, 0.3, None)
    unsure.probe(2.1, 2.2, 429, retry_after=8)
    assert unsure.judged(TRUTH).verdict is Verdict.HOLDS


def test_rate_3_a_time_from_the_newest_admission_convicts_where_the_oldest_is_another(written, another):
    def spread(history, said):
        for start in (0, 3, 6):
            history.probe(start, start + 0.1, 200)
        return history.probe(7.1, 7.2, 429, retry_after=said)

    spread(written, 3)
    assert written.judged(TRUTH).verdict is Verdict.HOLDS
    newest = another()
    denial = spread(newest, 9)
    finding = newest.judged(TRUTH)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (denial,))


def test_rate_3_a_denial_with_room_left_has_no_time_to_be_true_about(written):
    fill(written, count=2)
    written.probe(2.1, 2.2, 429, retry_after=3)
    assert written.judged(TRUTH).verdict is Verdict.UNDECIDED


def test_rate_3_an_obedient_client_is_admitted(written, another):
    fill(written)
    denial = written.probe(7.1, 7.2, 429, retry_after=3)
    written.probe(10.2, 10.3, 200, sent={"after": denial})
    assert written.judged(OBEY).verdict is Verdict.HOLDS
    short = another()
    fill(short)
    denial = short.probe(7.1, 7.2, 429, retry_after=1)
    again = short.probe(8.2, 8.3, 429, sent={"after": denial})
    finding = short.judged(OBEY)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (denial, again))


def test_rate_3_a_client_that_did_not_wait_is_not_judged(written):
    fill(written)
    written.probe(7.1, 7.2, 429, retry_after=3)
    assert written.judged(OBEY).verdict is Verdict.UNDECIDED


def headers(remaining, *, start, limit=3, t=10):
    at = 1_700_000_000.0 + start
    return {
        "limit": limit,
        "remaining": remaining,
        "reset": "2023-11-14T22:13:30Z",
        "reset_at": at + t,
        "ietf_policy": f'"api";q={limit};w=10',
        "ietf": f'"api";r={remaining};t={t}',
    }


def test_limit_headers_that_count_down_hold(written):
    for number in range(3):
        written.probe(number, number + 0.1, 200, **headers(2 - number, start=number, t=10 - number))
    written.probe(3, 3.1, 429, **headers(0, start=3, t=7), retry_after=7)
    assert written.judged(HEADERS).verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"remaining": 3}, "at most"),
        ({"remaining": 1, "ietf": '"api";r=1;t=10'}, "at least 2"),
        ({"remaining": "NaN"}, "no number"),
        ({"limit": 5}, "declared"),
        ({"reset_at": 1_700_000_900.0}, "away"),
        ({"reset_at": None}, "ISO 8601"),
        ({"ietf_policy": '"api";q=3;w=900'}, "RateLimit-Policy"),
        ({"ietf": '"api";r=0;t=1'}, "beside"),
        ({"ietf": None}, "lack ietf"),
    ],
)
def test_a_wrong_limit_header_convicts_and_is_named(written, wrong, word):
    answer = written.probe(0, 0.1, 200, **(headers(2, start=0) | wrong))
    finding = written.judged(HEADERS)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (answer,))
    assert word in finding.reason


def test_a_rest_that_other_requests_of_the_client_may_have_used_up_holds(written, another):
    written.op("csrf.fetch", 0, 0.1)  # perhaps against the same budget
    written.probe(0.5, 0.6, 200, **headers(1, start=0.5))
    assert written.judged(HEADERS).verdict is Verdict.HOLDS
    alone = another()
    alone.op("csrf.fetch", 0, 0.1, actor="bob")
    alone.probe(0.5, 0.6, 200, **headers(1, start=0.5))
    assert alone.judged(HEADERS).verdict is Verdict.VIOLATED


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"reset_at": 1_700_000_000.5}, "Retry-After"),
        ({"ietf": '"api";r=0;t=0'}, "RateLimit's t"),
    ],
)
def test_a_reset_that_is_told_otherwise_elsewhere_convicts(written, wrong, word):
    answer = written.probe(0.5, 0.6, 429, **({**headers(0, start=0), "retry_after": 10} | wrong))
    finding = written.judged(HEADERS)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (answer,))
    assert word in finding.reason


@pytest.mark.parametrize(
    ("t", "verdict"),
    [(10, Verdict.VIOLATED), (6, Verdict.HOLDS), (4, Verdict.HOLDS), (2, Verdict.VIOLATED)],
)
def test_a_t_on_what_passed_is_when_the_oldest_admission_leaves(written, t, verdict):
    written.probe(0, 0.1, 200, **headers(2, start=0))
    written.probe(5, 5.1, 200, **headers(1, start=5, t=t))  # 4.9 s to 5.1 s are left, told in whole seconds
    assert written.judged(HEADERS).verdict is verdict


@pytest.mark.parametrize(("t", "verdict"), [(9, Verdict.VIOLATED), (8, Verdict.HOLDS), (5, Verdict.VIOLATED)])
def test_a_t_on_a_denial_is_what_retry_after_says(written, t, verdict):
    for number in range(3):
        written.probe(number, number + 0.1, 200, **headers(2 - number, start=number, t=10 - number))
    written.probe(3, 3.1, 429, **headers(0, start=1, t=t), retry_after=7)
    assert written.judged(HEADERS).verdict is verdict


def test_a_t_is_judged_by_all_that_may_have_counted_and_only_by_what_is_sure(written, another):
    written.op("csrf.fetch", 0, 0.1)  # perhaps the oldest of the same budget
    written.probe(5, 5.1, 200, **headers(2, start=5, t=10))
    assert written.judged(HEADERS).verdict is Verdict.HOLDS
    counted = another()
    counted.op("csrf.fetch", 0, 0.1)
    counted.probe(5, 5.1, 200, **headers(1, start=5, t=5))
    assert counted.judged(HEADERS).verdict is Verdict.HOLDS
    lost = another()
    lost.probe(0, 0.1, None)
    lost.probe(5, 5.1, 200, **headers(2, start=5, t=2))  # whenever that took effect, it stays for longer
    assert lost.judged(HEADERS).verdict is Verdict.VIOLATED
    together = another()
    for start in (0, 4):  # the second may have been counted before the first, and while the first was on its way
        together.probe(start, 6, 200, **headers(2 if start == 0 else 1, start=6, t=10))
    assert together.judged(HEADERS).verdict is Verdict.HOLDS


def test_a_quota_without_a_t_is_bound_to_no_moment(written):
    written.probe(0, 0.1, 200, **headers(2, start=0))
    written.probe(5, 5.1, 200, **(headers(1, start=5) | {"ietf": '"api";r=1'}))
    assert written.judged(HEADERS).verdict is Verdict.HOLDS


def test_an_undeclared_limit_is_undecided_and_a_declared_one_is_read_from_the_history(written):
    fill(written, count=4)
    checker = admissions.never_above_limit("api", phase="p")
    assert "declare" in written.judged(checker).reason
    written.seen("limit.max", 3, policy="api", phase="p")
    written.seen("limit.window_s", 10, policy="api", phase="p")
    assert written.judged(checker).verdict is Verdict.VIOLATED


@pytest.mark.parametrize("checker", [ABOVE, ROOM, FULL, OBEY, TRUTH, HEADERS])
def test_nothing_recorded_is_undecided(written, checker):
    assert written.judged(checker).verdict is Verdict.UNDECIDED
