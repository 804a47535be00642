"""Session and refusal checkers on histories written by hand."""

import pytest

from cryptosense.workbench.claims import refusals, sessions
from cryptosense.workbench.history import Span, SpanKind
from cryptosense.workbench.verdicts import Verdict

LIVE, LOGOUT, REFRESH = sessions.sessions_live_on(), sessions.logout_ends_the_session(), sessions.refresh_is_used_once()


def test_a_session_that_is_known_everywhere_until_its_logout_holds(written):
    written.op("auth.login", 0, 0.1)
    written.op("session.use", 1, 1.1, instance="http://b")
    written.op("auth.logout", 2, 2.1, 204)
    written.op("session.use", 3, 3.1, 401)
    assert written.judged(LIVE).verdict is Verdict.HOLDS
    assert written.judged(LOGOUT).verdict is Verdict.HOLDS


def test_a_session_lost_by_an_instance_convicts(written):
    opened = written.op("auth.login", 0, 0.1)
    lost = written.op("session.use", 1, 1.1, 401, instance="http://b")
    finding = written.judged(LIVE)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (opened, lost))


def refresh(history, start, token, status, **more):
    return history.op("auth.refresh", start, start + 0.1, status, sent={"refresh": token}, **more)


def test_auth_1_a_refresh_token_that_only_its_own_instance_knows_convicts(written):
    opened = written.op("auth.login", 0, 0.1)
    refresh(written, 1, "r", 200)
    assert written.judged(LIVE).verdict is Verdict.HOLDS
    lost = refresh(written, 2, "s", 401, instance="http://b")
    written.op("session.use", 3, 3.1, instance="http://b")
    finding = written.judged(LIVE)
    assert (finding.verdict, finding.evidence, finding.observed) == (Verdict.VIOLATED, (opened, lost), 1)


@pytest.mark.parametrize("first", [200, None, 503])
def test_auth_1_a_refresh_token_that_may_have_been_traded_says_nothing_when_it_is_refused_and_ends_its_session(
    written, first
):
    written.op("auth.login", 0, 0.1)
    refresh(written, 1, "r", first)
    samples = written.judged(LIVE).samples
    refresh(written, 2, "r", 401)
    refresh(written, 3, "s", 401)
    written.op("session.use", 4, 4.1, 401)
    finding = written.judged(LIVE)
    assert finding.verdict is (Verdict.HOLDS if first == 200 else Verdict.UNDECIDED)
    assert finding.samples == samples


def test_a_refresh_token_that_is_good_for_ever_does_not_end_its_session(written):
    written.op("auth.login", 0, 0.1)
    for number in (1, 2):
        refresh(written, number, "r", 200)
    assert (written.judged(LIVE).verdict, written.judged(LIVE).samples) == (Verdict.HOLDS, 2)
    written.op("session.use", 3, 3.1, 401)
    assert written.judged(LIVE).verdict is Verdict.VIOLATED


def test_a_refresh_token_that_was_refused_before_is_no_spent_one(written):
    written.op("auth.login", 0, 0.1)
    refresh(written, 1, "r", 401)
    refresh(written, 2, "r", 401)
    assert (written.judged(LIVE).verdict, written.judged(LIVE).observed) == (Verdict.VIOLATED, 2)


@pytest.mark.parametrize("sent", [{}, {"refresh": "r", "dead": True}])
def test_a_refresh_without_a_token_or_with_one_that_was_ended_is_not_judged(written, sent):
    written.op("auth.login", 0, 0.1)
    written.op("auth.refresh", 1, 1.1, 401, sent=sent)
    assert written.judged(LIVE).verdict is Verdict.UNDECIDED


def test_a_401_beside_a_logout_under_way_is_not_judged(written):
    written.op("auth.login", 0, 0.1)
    written.op("auth.logout", 1, 2, 204)
    written.op("session.use", 1.5, 1.6, 401)
    assert written.judged(LIVE).verdict is Verdict.UNDECIDED


def test_a_session_is_judged_by_what_it_was_used_for_after_the_restart_alone(written):
    after = sessions.sessions_live_on(used_in="restarted")
    written.op("auth.login", 0, 0.1)
    written.op("session.use", 1, 1.1)
    assert written.judged(after).verdict is Verdict.UNDECIDED
    written.op("session.use", 2, 2.1, phase="restarted")
    assert written.judged(after).verdict is Verdict.HOLDS
    written.op("session.use", 3, 3.1, 401, phase="restarted")
    assert written.judged(after).verdict is Verdict.VIOLATED


def test_auth_1_a_limiter_that_denies_says_nothing_about_the_session(written):
    written.op("auth.login", 0, 0.1)
    written.op("auth.logout", 1, 1.1, 204)
    written.op("session.use", 2, 2.1, 429)
    assert written.judged(LOGOUT).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("status", [429, 503, 413, None])
def test_an_answer_from_before_the_session_was_asked_about_says_nothing_of_it(written, status):
    written.op("auth.login", 0, 0.1)
    written.op("session.use", 1, 1.1, status)
    assert written.judged(LIVE).verdict is Verdict.UNDECIDED
    written.op("auth.refresh", 2, 2.1, 200, sent={"refresh": "r"})
    written.op("auth.refresh", 3, 3.1, status, sent={"refresh": "r"})
    assert written.judged(REFRESH).verdict is Verdict.UNDECIDED


def test_auth_1_a_dead_csrf_token_says_nothing_of_the_bearer(written):
    written.op("auth.logout", 1, 1.1, 204)
    written.op("csrf.post", 2, 2.1, 403)
    assert written.judged(LOGOUT).verdict is Verdict.UNDECIDED
    written.op("session.use", 3, 3.1, 401)
    assert written.judged(LOGOUT).verdict is Verdict.HOLDS


def test_refreshes_without_a_token_are_not_the_same_token(written):
    for number in range(2):
        written.op("auth.refresh", number, number + 0.1, 200)
    assert written.judged(REFRESH).verdict is Verdict.UNDECIDED


def test_auth_1_a_bearer_that_works_after_logout_convicts(written):
    written.op("auth.login", 0, 0.1)
    ended = written.op("auth.logout", 1, 1.1, 204)
    alive = written.op("session.use", 2, 2.1, 200, instance="http://b")
    finding = written.judged(LOGOUT)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (ended, alive))


def test_auth_1_a_refresh_token_that_works_after_logout_convicts(written):
    written.op("auth.logout", 1, 1.1, 204)
    written.op("auth.refresh", 2, 2.1, 200, sent={"refresh": "r"})
    assert written.judged(LOGOUT).verdict is Verdict.VIOLATED


def test_auth_1_a_logout_without_an_answer_or_an_outage_after_it_leaves_it_open(written):
    written.op("auth.logout", 1, 1.1, None)
    written.op("session.use", 2, 2.1, 200)
    assert written.judged(LOGOUT).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(("second", "verdict"), [(401, Verdict.HOLDS), (200, Verdict.VIOLATED)])
def test_a_refresh_token_is_good_once(written, second, verdict):
    written.op("auth.refresh", 1, 1.1, 200, sent={"refresh": "r"})
    written.op("auth.refresh", 2, 2.1, second, sent={"refresh": "r"})
    assert written.judged(REFRESH).verdict is verdict


HONEST = refusals.refusals_are_honest()


@pytest.mark.parametrize(
    ("status", "got"),
    [
        (401, {"code": "UNAUTHORIZED"}),
        (403, {"code": "CSRF_TOKEN_INVALID"}),
        (429, {"code": "RATE_LIMIT_EXCEEDED", "retry_after": 3}),
        (503, {"code": "STATE_UNAVAILABLE", "retry_after": 1}),
        (405, {}),
    ],
)
def test_a_declared_refusal_holds(written, status, got):
    written.op("csrf.post", 1, 1.1, status, **got)
    assert written.judged(HONEST).verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("status", "got", "word"),
    [
        (500, {"code": "INTERNAL"}, "does not know"),
        (403, {"code": "NOPE"}, "is due"),
        (503, {"code": "STATE_UNAVAILABLE"}, "Retry-After"),
        (429, {"code": "RATE_LIMIT_EXCEEDED"}, "Retry-After"),
        (404, {"code": "NOT_FOUND", "trace": True}, "insides"),
    ],
)
def test_a_refusal_that_is_not_declared_convicts_and_is_named(written, status, got, word):
    wrong = written.op("csrf.post", 1, 1.1, status, **got)
    finding = written.judged(HONEST)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (wrong,))
    assert word in finding.reason


def test_where_nobody_was_refused_no_refusal_was_honest(written):
    written.op("csrf.post", 1, 1.1, 201)
    assert written.judged(HONEST).verdict is Verdict.UNDECIDED
    written.op("csrf.post", 2, 2.1, None)
    assert written.judged(HONEST).verdict is Verdict.UNDECIDED


AWAY = {"code": "STATE_UNAVAILABLE", "retry_after": 1}
NO_SERVER_ERROR, SERVED = refusals.no_server_error(excused_in=("outage",)), refusals.everybody_is_served(actor="alice")


def test_an_honest_503_is_no_server_error_while_something_is_away_but_fails_a_flip(written):
    written.op("csrf.post", 1, 1.1, 503, phase="outage", **AWAY)
    assert written.judged(NO_SERVER_ERROR).verdict is Verdict.HOLDS
    assert written.judged(refusals.no_refusal_for_the_flip()).verdict is Verdict.VIOLATED


def test_an_honest_503_while_nothing_is_away_convicts(written):
    for number, status in enumerate((201, 503, 503, 503)):
        written.op("csrf.post", number, number + 0.1, status, **(AWAY if status == 503 else {}))
    for checker in (NO_SERVER_ERROR, SERVED):
        finding = written.judged(checker)
        assert (finding.verdict, finding.observed, finding.evidence) == (Verdict.VIOLATED, 3, (2,))


@pytest.mark.parametrize("phase", ["p", "outage"])
@pytest.mark.parametrize(("status", "got"), [(500, {}), (503, {}), (503, {"code": "STATE_UNAVAILABLE"})])
def test_a_server_error_that_is_not_honest_convicts_wherever_it_is_and_however_busy_the_machine(
    written, phase, status, got
):
    written.seen("machine.foreign_cpu", 0.9, 1.2)
    written.op("csrf.post", 1, 1.1, status, phase=phase, **got)
    assert written.judged(NO_SERVER_ERROR).verdict is Verdict.VIOLATED
    assert written.judged(SERVED).verdict is Verdict.VIOLATED


@pytest.mark.parametrize(("share", "verdict"), [(0.1, Verdict.VIOLATED), (0.9, Verdict.UNDECIDED)])
def test_a_deadline_that_passes_on_a_busy_machine_convicts_nobody(written, share, verdict):
    written.op("csrf.post", 0, 0.1, 201)
    written.seen("machine.foreign_cpu", share, 3.2)
    written.op("csrf.post", 1, 3.1, 503, **AWAY)
    assert written.judged(NO_SERVER_ERROR).verdict is verdict
    assert written.judged(SERVED).verdict is verdict


def test_one_deadline_that_passes_on_a_quiet_machine_is_not_excused_by_another(written):
    written.seen("machine.foreign_cpu", 0.9, 1.05)
    written.op("csrf.post", 1, 1.1, 503, **AWAY)
    written.seen("machine.foreign_cpu", 0.0, 2.05)
    quiet = written.op("csrf.post", 2, 2.1, 503, **AWAY)
    for checker in (NO_SERVER_ERROR, SERVED):
        finding = written.judged(checker)
        assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (quiet,))


def test_who_was_refused_was_served_and_who_was_not_answered_was_not(written, another):
    for number, status in enumerate((201, 401, 403, 429)):
        written.op("csrf.post", number, number + 0.1, status)
    written.op("csrf.post", 5, 5.1, 503, actor="bob", **AWAY)
    assert (written.judged(SERVED).verdict, written.judged(SERVED).samples) == (Verdict.HOLDS, 4)
    lost = another()
    lost.op("csrf.post", 1, 1.1, None)
    assert lost.judged(SERVED).verdict is Verdict.VIOLATED
    assert lost.judged(NO_SERVER_ERROR).verdict is Verdict.UNDECIDED


def test_stage_1_a_request_without_an_answer_fails_a_flip(written, another):
    written.op("csrf.post", 1, 1.1, 403)
    assert written.judged(refusals.no_refusal_for_the_flip()).verdict is Verdict.HOLDS
    lost = another()
    lost.op("csrf.post", 1, 1.1, None)
    assert lost.judged(refusals.no_refusal_for_the_flip()).verdict is Verdict.VIOLATED


def test_stage_1_a_flip_around_which_nobody_asked_shows_nothing(written):
    flips = refusals.no_refusal_for_the_flip(phase="p", flips=("off → dualwrite", "dualwrite → shadow"))
    for place, name in enumerate(("off → dualwrite", "dualwrite → shadow")):
        written.events.append(Span(SpanKind.PHASE, f"flip {name}", 1 + 5 * place, 1.5 + 5 * place))
    written.op("csrf.post", 1.4, 1.6, 201)
    finding = written.judged(flips)
    assert (finding.verdict, "1 of 2 flips" in finding.reason) == (Verdict.UNDECIDED, True)
    written.op("csrf.post", 5.8, 6.1, 201)
    assert written.judged(flips).verdict is Verdict.HOLDS
    written.op("csrf.post", 9, 9.1, 503)
    assert written.judged(flips).verdict is Verdict.VIOLATED


@pytest.mark.parametrize(
    ("status", "word", "verdict"),
    [
        (200, "ok", Verdict.HOLDS),
        (503, "unavailable", Verdict.HOLDS),
        (200, "unavailable", Verdict.VIOLATED),
        (503, "ok", Verdict.VIOLATED),
        (500, "ok", Verdict.VIOLATED),
    ],
)
def test_health_says_the_same_as_its_code(written, status, word, verdict):
    written.op("health.read", 1, 1.1, status, state=word)
    assert written.judged(refusals.health_tells_the_truth()).verdict is verdict


@pytest.mark.parametrize(
    ("said", "verdict"), [("ok", Verdict.HOLDS), ("down", Verdict.VIOLATED), (None, Verdict.VIOLATED)]
)
def test_health_names_redis(written, said, verdict):
    written.op("health.read", 1, 1.1, 200, state="ok", services={"redis": said})
    assert written.judged(refusals.dependency_is_reported("redis")).verdict is verdict


def test_an_answer_outside_the_allowed_ones_convicts_with_the_reason_given(written):
    checker = refusals.answered_with(
        {403}, kinds=("attack",), why_wrong="the attack passed", codes={"CROSS_SITE_REQUEST"}
    )
    written.op("attack", 1, 1.1, 403, code="CROSS_SITE_REQUEST")
    assert written.judged(checker).verdict is Verdict.HOLDS
    passed = written.op("attack", 2, 2.1, 200)
    finding = written.judged(checker)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (passed,))
    assert "the attack passed" in finding.reason


def test_an_answer_that_says_nothing_of_what_is_claimed_neither_holds_nor_convicts(written):
    checker = refusals.answered_with({403}, kinds=("attack",), why_wrong="it passed", silent={429})
    written.op("attack", 1, 1.1, 429)
    assert written.judged(checker).verdict is Verdict.UNDECIDED
    written.op("attack", 2, 2.1, 403)
    assert (written.judged(checker).verdict, written.judged(checker).samples) == (Verdict.HOLDS, 1)
    written.op("attack", 3, 3.1, 201)
    assert written.judged(checker).verdict is Verdict.VIOLATED


@pytest.mark.parametrize(
    "checker", [LIVE, LOGOUT, REFRESH, HONEST, NO_SERVER_ERROR, SERVED, refusals.health_tells_the_truth()]
)
def test_nothing_recorded_is_undecided(written, checker):
    assert written.judged(checker).verdict is Verdict.UNDECIDED
