"""Checkers of the walk through the stages and of stopping, on histories written by hand."""

import pytest

from cryptosense.workbench.claims import walking
from cryptosense.workbench.claims.stopping import stops_gracefully
from cryptosense.workbench.history import Span, SpanKind
from cryptosense.workbench.verdicts import Verdict

FLIPS = ("off → dualwrite", "dualwrite → off")
WALKED = walking.walked_without_restart(FLIPS, phase="p")
OTHER = walking.unnoticed_while_other_side_fails(phase="p", bound_s=2.5)
OTHERS = walking.others_are_served(phase="p", beside="rolled back")
COUNTED = walking.differences_are_counted("sessions", before="asked", after="told")
DEBT = walking.debt_was_told("csrf", before="live → shadow", phase="p")
LOGS = walking.logs_are_clean(phase="p")
STOPS = stops_gracefully(phase="p", within_s=10)


def flipped(history, *names, restarts=0):
    for name in names:
        history.seen("flip.seconds", 0.2, flip=name)
        history.seen("flip.restarts", restarts, flip=name)


def test_stage_1_every_flip_reached_by_the_running_process_holds(written):
    flipped(written, *FLIPS)
    assert written.judged(WALKED).verdict is Verdict.HOLDS


@pytest.mark.parametrize(("names", "restarts"), [(FLIPS[:1], 0), (FLIPS, 1)])
def test_stage_1_a_flip_that_was_missed_or_needed_a_restart_convicts(written, names, restarts):
    flipped(written, *names, restarts=restarts)
    assert written.judged(WALKED).verdict is Verdict.VIOLATED


def test_stage_1_where_nobody_looked_whether_a_process_was_a_new_one_nothing_is_decided(written):
    for name in FLIPS:
        written.seen("flip.seconds", 0.2, flip=name)
    assert written.judged(WALKED).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("status", "verdict"), [(201, Verdict.HOLDS), (503, Verdict.VIOLATED), (None, Verdict.VIOLATED)]
)
def test_stage_2_a_failure_of_the_other_side_is_nobodys_refusal(written, status, verdict):
    written.fault(1, 4)
    written.op("csrf.post", 0, 0.5, 503)
    written.op("csrf.post", 1.2, 1.4, status)
    assert written.judged(OTHER).verdict is verdict


def test_stage_2_a_request_that_waits_until_the_other_side_answers_again_is_convicted(written, another):
    written.fault(1, 4)
    bounded = written.op("csrf.post", 0.98, 3.0, 201)  # two budgets, one after the other
    finding = written.judged(OTHER)
    assert (finding.verdict, finding.samples) == (Verdict.HOLDS, bounded)
    waited = written.op("session.use", 1.1, 4.05, 200)
    finding = written.judged(OTHER)
    assert (finding.verdict, finding.evidence) == (Verdict.VIOLATED, (waited,))
    written.seen("machine.foreign_cpu", 0.9, 2.0)
    assert written.judged(OTHER).verdict is Verdict.UNDECIDED
    late = another()
    late.fault(1, 4)
    late.op("session.use", 2.0, 4.05, 200)
    assert late.judged(OTHER).verdict is Verdict.UNDECIDED, "the failure was over before an endless wait could show"


def rolled(history, start, end, name="instance-0"):
    history.events.append(Span(SpanKind.PHASE, f"rolled back {name}", start, end))


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (201, Verdict.HOLDS),
        (401, Verdict.VIOLATED),
        (403, Verdict.VIOLATED),
        (503, Verdict.VIOLATED),
        (None, Verdict.VIOLATED),
    ],
)
def test_while_one_instance_is_rolled_back_the_others_serve(written, status, verdict):
    rolled(written, 1, 3)
    written.op("session.use", 1.1, 1.2)
    written.op("csrf.post", 2.5, 3.1, status)
    assert written.judged(OTHERS).verdict is verdict


def test_what_the_others_are_asked_after_a_restart_shows_nothing_of_the_restart(written):
    rolled(written, 1, 3)
    written.op("session.use", 3.05, 3.1)
    assert written.judged(OTHERS).verdict is Verdict.UNDECIDED
    written.op("session.use", 2, 2.1)
    assert written.judged(OTHERS).verdict is Verdict.HOLDS
    rolled(written, 5, 7, "instance-1")
    assert written.judged(OTHERS).verdict is Verdict.UNDECIDED, "nobody asked during the second one"


@pytest.mark.parametrize(("status", "verdict"), [(503, Verdict.UNDECIDED), (401, Verdict.VIOLATED)])
def test_a_busy_machine_excuses_a_late_state_and_no_lost_session(written, status, verdict):
    rolled(written, 1, 3)
    written.op("session.use", 1.1, 1.2, status)
    written.seen("machine.foreign_cpu", 0.9, 1.15)
    assert written.judged(OTHERS).verdict is verdict


@pytest.mark.parametrize(("counted", "verdict"), [(3, Verdict.HOLDS), (1, Verdict.VIOLATED)])
def test_stage_4_a_difference_that_was_asked_for_is_counted(written, counted, verdict):
    written.op("metrics.read", 0, 0.1)
    written.op("session.use", 1, 1.1, phase="one-sided")
    written.seen("state.differences", 1, before="asked", service="sessions", kind="missing")
    written.seen("state.differences", counted, before="told", service="sessions", kind="missing")
    assert written.judged(COUNTED).verdict is verdict


def rolled_back(history, *, told, answer):
    history.seen("rollback.debt", told, before="live → shadow", service="csrf")
    for token in ("a", "b"):
        history.fetch(0, 0.1, token, actor=token, phase="idle")
    return [history.post(1, 1.1, token, answer, follows=True, actor=token) for token in ("a", "b")]


@pytest.mark.parametrize(("told", "verdict"), [(2, Verdict.HOLDS), (1, Verdict.VIOLATED)])
def test_stage_5_what_is_lost_had_been_told(written, told, verdict):
    lost = rolled_back(written, told=told, answer=403)
    finding = written.judged(DEBT)
    assert (finding.verdict, finding.observed) == (verdict, 2)
    assert verdict is Verdict.HOLDS or list(finding.evidence) == lost


def test_stage_5_a_debt_above_all_tokens_that_there_are_is_no_figure(written):
    rolled_back(written, told=1_000_000, answer=403)
    assert written.judged(DEBT).verdict is Verdict.VIOLATED


def test_stage_5_a_debt_that_nothing_was_lost_of_is_not_tested(written):
    rolled_back(written, told=2, answer="next")
    assert written.judged(DEBT).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(("errors", "verdict"), [(0, Verdict.HOLDS), (2, Verdict.VIOLATED)])
def test_a_log_that_tells_of_errors_after_a_rollback_convicts(written, errors, verdict):
    written.seen("log.errors", errors, phase="p", instance="instance-0")
    assert written.judged(LOGS).verdict is verdict


@pytest.mark.parametrize(
    ("code", "seconds", "status", "verdict"),
    [
        (0, 2, 200, Verdict.HOLDS),
        (1, 2, 200, Verdict.VIOLATED),
        (0, 11, 200, Verdict.VIOLATED),
        (0, 2, None, Verdict.VIOLATED),
    ],
)
def test_stop_1_a_stop_is_clean_in_time_and_breaks_nothing(written, code, seconds, status, verdict):
    stopped(written, code, seconds)
    written.op("tokens.read", 1, 1.4, status)
    assert written.judged(STOPS).verdict is verdict


def stopped(history, code, seconds):
    """Told to stop at 1.2."""
    history.seen("exit.code", code, 1.2 + seconds, instance="instance-0", redis="up")
    history.seen("exit.seconds", seconds, 1.2 + seconds, instance="instance-0", redis="up")


def test_stop_1_a_request_that_was_over_before_the_signal_shows_nothing(written):
    stopped(written, 0, 2)
    written.op("tokens.read", 0.5, 1.1, 200)
    assert written.judged(STOPS).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("checker", [WALKED, OTHER, OTHERS, COUNTED, DEBT, LOGS, STOPS])
def test_nothing_recorded_is_undecided(written, checker):
    assert written.judged(checker).verdict is Verdict.UNDECIDED
