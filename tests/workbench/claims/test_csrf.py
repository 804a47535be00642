"""CSRF checkers on histories written by hand: they hold, convict with the fewest operations, or leave undecided."""

import pytest

from cryptosense.workbench.claims import csrf
from cryptosense.workbench.verdicts import Verdict

STRICT = csrf.compare_and_rotate(grace_s=0)
GRACE = csrf.compare_and_rotate(grace_s=5)


def test_a_chain_of_followed_successors_holds(written):
    written.fetch(0, 0.1, "a")
    written.post(1, 1.1, "a", "b")
    written.post(2, 2.1, "b", "c")
    written.post(3, 3.1, "a", 403)
    assert written.judged(STRICT).verdict is Verdict.HOLDS


def test_csrf_2_one_token_accepted_twice_at_once_convicts_with_the_two(written):
    written.fetch(0, 0.1, "a")
    first = written.post(1, 1.5, "a", "b")
    second = written.post(1.2, 1.6, "a", "c")
    written.post(1.2, 1.7, "a", 403)
    finding = written.judged(STRICT)
    assert finding.verdict is Verdict.VIOLATED
    assert set(finding.evidence) == {first, second}
    assert "accepted from" in finding.reason


def test_csrf_2_one_of_twenty_at_once_holds_whichever_answers_first(written):
    written.fetch(0, 0.1, "a")
    for number in range(19):
        written.post(1, 1.1 + number / 100, "a", 403)
    written.post(1, 2.0, "a", "b")
    assert written.judged(STRICT).verdict is Verdict.HOLDS
    assert written.judged(csrf.accepted_once()).verdict is Verdict.HOLDS


def test_csrf_2_replays_accepted_more_than_once_convict(written):
    written.post(1, 1.5, "a", "b")
    written.post(1, 1.6, "a", "c")
    finding = written.judged(csrf.accepted_once())
    assert (finding.verdict, finding.observed) == (Verdict.VIOLATED, 2)
    assert len(finding.evidence) == 2


def test_csrf_2_a_token_that_nobody_accepted_convicts_unless_an_answer_is_missing(written, another):
    written.post(1, 1.5, "a", 403)
    written.post(1, 1.6, "a", 403)
    assert written.judged(csrf.accepted_once()).verdict is Verdict.VIOLATED
    unclear = another()
    unclear.post(1, 1.5, "a", None)
    unclear.post(1, 1.6, "a", 403)
    assert unclear.judged(csrf.accepted_once()).verdict is Verdict.UNDECIDED


def test_csrf_3_within_the_grace_a_replaced_token_yields_the_current_one(written):
    written.fetch(0, 0.1, "a")
    written.post(1, 1.1, "a", "b")
    written.post(2, 2.1, "a", "b")
    written.post(3, 3.1, "b", "c")
    written.post(4, 4.1, "b", "c")
    assert written.judged(GRACE).verdict is Verdict.HOLDS


def test_csrf_3_a_false_refusal_within_the_grace_convicts(written):
    giver = written.fetch(0, 0.1, "a")
    written.post(1, 1.1, "a", "b")
    refused = written.post(2, 2.1, "a", 403)
    finding = written.judged(GRACE)
    assert finding.verdict is Verdict.VIOLATED
    assert set(finding.evidence) == {giver, refused}


def test_csrf_3_a_replaced_token_accepted_after_the_grace_convicts(written):
    written.post(1, 1.1, "a", "b")
    written.post(6.5, 6.6, "a", "b")
    finding = written.judged(GRACE)
    assert finding.verdict is Verdict.VIOLATED
    assert "grace" in finding.reason


def test_csrf_3_at_the_edge_of_the_grace_either_answer_is_legal(written, another):
    for answer in ("b", 403):
        edge = another()
        edge.post(1, 1.5, "a", "b")
        edge.post(6.2, 6.4, "a", answer)
        assert edge.judged(GRACE).verdict is Verdict.HOLDS


def test_csrf_3_a_grace_answer_that_is_not_the_current_token_convicts(written):
    written.post(1, 1.1, "a", "b")
    written.post(2, 2.1, "a", "x")
    assert written.judged(GRACE).verdict is Verdict.VIOLATED


def test_csrf_3_an_explicit_rotation_ends_the_grace(written, another):
    for answer, verdict in ((403, Verdict.HOLDS), ("c", Verdict.VIOLATED)):
        rotated = another()
        rotated.post(1, 1.1, "a", "b")
        rotated.op("csrf.rotate", 2, 2.1, 200, sent={"token": "b"}, successor="c")
        rotated.post(3, 3.1, "b", answer)
        assert rotated.judged(GRACE).verdict is verdict


def test_a_post_without_an_answer_may_have_rotated_or_not(written, another):
    for accepted in ("a", "z"):
        lost = another()
        lost.fetch(0, 0.1, "a")
        lost.post(1, 2, "a", None)
        lost.post(3, 3.1, accepted, "b")
        assert lost.judged(STRICT).verdict is Verdict.HOLDS
    both = another()
    both.fetch(0, 0.1, "a")
    both.post(1, 2, "a", None)
    both.post(3, 3.1, "a", "b")
    both.post(4, 4.1, "z", "c")
    assert both.judged(STRICT).verdict is Verdict.VIOLATED


def test_a_503_may_have_been_applied_and_does_not_convict(written):
    written.fetch(0, 0.1, "a")
    written.post(1, 2, "a", 503)
    written.post(3, 3.1, "a", 403)
    assert written.judged(STRICT).verdict is Verdict.UNDECIDED
    written.fetch(4, 4.1, "b")
    written.post(5, 5.1, "b", "c")
    assert written.judged(STRICT).verdict is Verdict.HOLDS


@pytest.mark.parametrize("answer", [429, 503, 403, None])
def test_where_no_token_passed_the_guard_nothing_was_rotated(written, answer):
    written.fetch(0, 0.1, "a")
    written.post(1, 1.1, "nobody's", answer)
    assert written.judged(STRICT).verdict is Verdict.UNDECIDED


def test_csrf_2_replays_that_came_one_after_the_other_show_no_race(written):
    written.post(1, 1.1, "a", "b")
    written.post(2, 2.1, "a", 403)
    assert written.judged(csrf.accepted_once()).verdict is Verdict.UNDECIDED
    written.post(3, 3.5, "b", "c")
    written.post(3.1, 3.6, "b", 403)
    assert written.judged(csrf.accepted_once()).verdict is Verdict.HOLDS


def test_csrf_4_where_nothing_that_passed_failed_the_successor_of_a_failure_was_not_seen(written):
    both = csrf.successor_delivered(failing_too=True)
    written.post(1, 1.1, "a", "b")
    assert written.judged(both).verdict is Verdict.UNDECIDED
    written.post(2, 2.1, "b", "c", status=422)
    assert written.judged(both).verdict is Verdict.HOLDS
    written.post(3, 3.1, "c", 422)
    assert written.judged(both).verdict is Verdict.VIOLATED


def test_a_token_of_another_session_convicts(written):
    written.fetch(0, 0.1, "a")
    written.fetch(0, 0.1, "m", actor="mallory")
    stolen = written.post(1, 1.1, "m", "n")
    finding = written.judged(STRICT)
    assert finding.verdict is Verdict.VIOLATED
    assert stolen in finding.evidence


def test_round_robin_over_memories_convicts_by_the_first_false_refusal(written):
    giver = written.fetch(0, 0.1, "a", instance="http://127.0.0.1:1")
    refused = written.post(1, 1.1, "a", 403, instance="http://127.0.0.1:2", follows=True)
    written.post(2, 2.1, "a", "b", instance="http://127.0.0.1:1", follows=True)
    assert set(written.judged(STRICT).evidence) == {giver, refused}
    rate = written.judged(csrf.good_tokens_accepted())
    assert (rate.verdict, rate.observed, set(rate.evidence)) == (Verdict.VIOLATED, 50.0, {giver, refused})


def test_a_search_over_its_budget_is_undecided(written):
    for number in range(12):
        written.post(1, 2, f"t{number}", None)
    written.post(3, 3.1, "a", "b")
    written.post(3, 3.2, "c", "d")
    written.post(3, 3.3, "e", "f")
    finding = written.judged(csrf.compare_and_rotate(grace_s=0, budget=3))
    assert finding.verdict is Verdict.UNDECIDED
    assert "search" in finding.reason


def test_csrf_1_an_answer_without_successor_convicts_with_that_one(written):
    written.post(1, 1.1, "a", "b")
    bare = written.post(2, 2.1, "b", 201)
    finding = written.judged(csrf.successor_delivered())
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (bare,))


def test_csrf_4_a_404_that_brings_the_successor_holds_and_one_that_does_not_convicts(written, another):
    written.post(1, 1.1, "a", "b", status=404)
    assert written.judged(csrf.successor_delivered()).verdict is Verdict.HOLDS
    spent = another()
    spent.post(1, 1.1, "a", 404)
    assert spent.judged(csrf.successor_delivered()).verdict is Verdict.VIOLATED


def test_csrf_5_only_the_lie_counts_where_codes_are_named(written):
    lie = csrf.good_tokens_accepted(codes=("CSRF_TOKEN_INVALID",))
    written.post(1, 1.1, "a", "b", follows=True)
    written.post(2, 2.1, "b", 403, follows=True, code="CSRF_TOKEN_MISSING")
    assert written.judged(lie).verdict is Verdict.HOLDS
    written.post(3, 3.1, "b", 403, follows=True, code="CSRF_TOKEN_INVALID")
    assert written.judged(lie).verdict is Verdict.VIOLATED


def test_csrf_3_a_tab_whose_token_another_replaced_longer_ago_than_the_grace_is_not_judged(written):
    written.seen("csrf.grace_s", 5, phase="p")
    tabs = csrf.good_tokens_accepted(phase="p")
    written.post(1, 1.1, "a", "b", follows=True)
    written.post(7, 7.1, "a", 403, follows=True)
    assert (written.judged(tabs).verdict, written.judged(tabs).samples) == (Verdict.HOLDS, 1)
    written.post(8, 8.1, "b", "c", follows=True)
    written.post(9, 9.1, "b", 403, follows=True)
    assert written.judged(tabs).verdict is Verdict.VIOLATED


def test_csrf_2_where_a_grace_is_declared_replays_are_left_to_the_model(written):
    written.seen("csrf.grace_s", 5, phase="p")
    written.post(1, 1.5, "a", "b")
    written.post(1, 1.6, "a", "b")
    assert written.judged(csrf.accepted_once(phase="p")).verdict is Verdict.UNDECIDED


def test_csrf_7_a_fetch_that_brings_another_token_convicts_unless_a_post_came_between(written, another):
    written.fetch(1, 1.1, "a")
    written.fetch(2, 2.1, "b")
    assert written.judged(csrf.fetch_keeps_the_token()).verdict is Verdict.VIOLATED
    posted = another()
    posted.fetch(1, 1.1, "a")
    posted.post(1.05, 1.5, "a", "b")
    posted.fetch(2, 2.1, "b")
    posted.fetch(3, 3.1, "b")
    assert posted.judged(csrf.fetch_keeps_the_token()).verdict is Verdict.HOLDS


@pytest.mark.parametrize(("refused", "verdict"), [(20, Verdict.HOLDS), (30, Verdict.VIOLATED), (0, Verdict.VIOLATED)])
def test_the_failure_rate_is_held_to_the_line(written, refused, verdict):
    for number in range(30):
        written.post(number, number + 0.1, "a", 403 if number < refused else "b")
    assert written.judged(csrf.failure_rate_is(2 / 3, phase="p")).verdict is verdict


@pytest.mark.parametrize(
    "checker",
    [
        STRICT,
        csrf.accepted_once(),
        csrf.good_tokens_accepted(),
        csrf.failure_rate_is(0.5, phase="p"),
        csrf.successor_delivered(),
        csrf.fetch_keeps_the_token(),
    ],
)
def test_nothing_recorded_is_undecided_with_the_runs_own_reason(written, checker):
    written.seen("skipped", 1, phase="p", reason="no account was to be had")
    assert written.judged(checker).verdict is Verdict.UNDECIDED


def test_a_scenario_left_out_gives_its_reason(written):
    written.seen("skipped", 1, phase="tabs", reason="no account was to be had")
    assert "no account" in written.judged(csrf.compare_and_rotate(phase="tabs")).reason
