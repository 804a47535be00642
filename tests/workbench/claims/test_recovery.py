"""Hand-written histories of an outage: a store that is killed at second 10 and answers again at second 12."""

from dataclasses import replace
from typing import Any

from cryptosense.workbench.claims.lost_writes import account_of_writes
from cryptosense.workbench.claims.recovery import (
    answers_within,
    felt_by_nobody,
    no_unexplained_false_accept,
    only_honest_refusals,
    store_back_at,
    well_again,
    writes_accounted_for,
    writes_again_within,
)
from cryptosense.workbench.history import Event, History, Observation, Operation, Outcome, Span, SpanKind
from cryptosense.workbench.verdicts import Verdict

KILL = Span(SpanKind.FAULT, "kill", 10.0, 11.0, {"phase": "kill"})
SILENT = [
    Observation("store.answers", at, value, {"phase": "kill"})
    for at, value in ((9.0, 1), (10.2, 0), (11.5, 0), (12.0, 1), (14.0, 1))
]


class Told:
    """Builds a history operation by operation; each lasts 20 ms."""

    def __init__(self) -> None:
        self.events: list[Event] = [KILL, *SILENT]

    def asks(
        self,
        kind: str,
        at: float,
        status: int | None = 200,
        *,
        actor: str = "s1",
        instance: str = "http://a",
        lasts: float = 0.02,
        sent: dict[str, Any] | None = None,
        **got: Any,
    ) -> Operation:
        outcome = Outcome.UNKNOWN if status is None else Outcome.OK if status < 400 else Outcome.FAILED
        operation = Operation(
            id=len(self.events),
            kind=kind,
            actor=actor,
            instance=instance,
            invoked_at=at,
            completed_at=at + lasts,
            outcome=outcome,
            status=status,
            phase="kill",
            sent=sent or {},
            got=got,
        )
        self.events.append(operation)
        return operation

    def posts(self, at: float, token: str, successor: str | None, status: int | None = 201, **more: Any) -> Operation:
        got = {} if successor is None else {"successor": successor}
        sent = {"token": token, "follows": True}
        return self.asks("csrf.post", at, status, sent=sent, **got, **more)

    def replays(self, at: float, token: str, successor: str | None = None) -> Operation:
        got = {} if successor is None else {"successor": successor}
        status = 403 if successor is None else 201
        return self.asks("csrf.post", at, status, sent={"token": token, "replay": True}, **got)

    def history(self) -> History:
        return History(started_at=0.0, events=tuple(self.events))


def test_a_503_that_names_itself_is_honest_and_anything_else_above_500_is_not() -> None:
    check = only_honest_refusals("csrf", "limit", phase="kill")
    told = Told()
    told.asks("csrf.post", 10.1, 503, code="STATE_UNAVAILABLE", retry_after=1)
    assert check(told.history()).verdict is Verdict.HOLDS
    told.asks("csrf.post", 10.2, 503, code="STATE_UNAVAILABLE")
    assert check(told.history()).verdict is Verdict.VIOLATED
    other = Told()
    bad = other.asks("limit.probe", 10.3, 500)
    assert tuple(check(other.history()).evidence) == (bad.id,)
    assert check(Told().history()).verdict is Verdict.UNDECIDED


def test_where_nobody_was_answered_while_the_fault_lasted_nothing_is_known_of_its_answers() -> None:
    check = only_honest_refusals("csrf", phase="kill")
    told = Told()
    told.asks("csrf.post", 9.0)
    told.asks("csrf.post", 10.2, None)
    told.asks("csrf.post", 14.0)
    assert check(told.history()).verdict is Verdict.UNDECIDED
    waited = answers_within("csrf", phase="kill", bound_s=2.0)
    calm = Told()
    calm.asks("csrf.post", 9.0)
    calm.asks("csrf.post", 14.0)
    assert waited(calm.history()).verdict is Verdict.UNDECIDED


def unfelt(*told: Event) -> Told:
    """A fault under which the store goes on answering, and what else is told of it."""
    history = Told()
    answering = [Observation("store.answers", at, 1, {"phase": "kill"}) for at in (9.0, 10.2, 10.6, 11.2, 12.0)]
    history.events = [KILL, *answering, *told]
    return history


def test_what_is_felt_by_nobody_brings_no_refusal_not_even_an_honest_one() -> None:
    check = felt_by_nobody("csrf", "limit", phase="kill")
    told = unfelt()
    told.asks("csrf.post", 9.0, 503, code="STATE_UNAVAILABLE", retry_after=1)  # before the fault
    told.asks("csrf.post", 10.1, 403)
    told.asks("limit.probe", 10.3, 429)
    finding = check(told.history())
    assert (finding.verdict, finding.samples) == (Verdict.HOLDS, 2)
    felt = told.asks("csrf.post", 10.5, 503, code="STATE_UNAVAILABLE", retry_after=1)
    finding = check(told.history())
    assert (finding.verdict, tuple(finding.evidence)) == (Verdict.VIOLATED, (felt.id,))
    unanswered = unfelt()
    unanswered.asks("csrf.post", 10.1, None)
    assert check(unanswered.history()).verdict is Verdict.VIOLATED


def test_a_refusal_on_a_busy_machine_or_of_a_store_that_did_not_answer_is_not_the_scripts() -> None:
    check = felt_by_nobody("csrf", phase="kill")
    stalled = Observation("store.answers", 10.4, 0, {"phase": "kill"})
    busy = Observation("machine.foreign_cpu", 10.6, 0.9)
    for excuse in (stalled, busy):
        told = unfelt(excuse)
        told.asks("csrf.post", 10.3, 503, code="STATE_UNAVAILABLE", retry_after=1)
        assert check(told.history()).verdict is Verdict.UNDECIDED
    told = unfelt(stalled)
    told.asks("csrf.post", 10.1, 403)
    told.asks("csrf.post", 11.3, 503, code="STATE_UNAVAILABLE", retry_after=1)
    assert check(told.history()).verdict is Verdict.VIOLATED, "the stall was over by then"


def test_where_nobody_asked_while_the_fault_lasted_it_is_not_known_that_nobody_feels_it() -> None:
    check = felt_by_nobody("csrf", phase="kill")
    told = unfelt()
    assert check(told.history()).verdict is Verdict.UNDECIDED
    told.asks("csrf.post", 14.0)
    assert check(told.history()).verdict is Verdict.UNDECIDED


def test_conn_1_a_request_that_hangs_is_convicted() -> None:
    check = answers_within("csrf", phase="kill", bound_s=2.0)
    told = Told()
    told.asks("csrf.post", 10.1, 503, lasts=0.3)
    assert check(told.history()).verdict is Verdict.HOLDS
    told.asks("csrf.post", 10.2, 503, lasts=2.5)
    assert check(told.history()).verdict is Verdict.VIOLATED
    told.events.append(Observation("machine.foreign_cpu", 11.0, 0.9))
    assert check(told.history()).verdict is Verdict.UNDECIDED
    told.asks("csrf.post", 10.3, 503, lasts=8.2)
    assert check(told.history()).verdict is Verdict.VIOLATED
    assert check(Told().history()).verdict is Verdict.UNDECIDED


def test_conn_2_good_writes_are_back_on_every_instance_within_the_bound() -> None:
    check = writes_again_within("csrf.post", phase="kill", bound_s=2.0, since_store_answers=True)
    told = Told()
    told.posts(9.0, "t0", "t1")
    told.posts(9.1, "t0", "t1", instance="http://b")
    told.posts(12.4, "t1", "t2")
    assert check(told.history()).verdict is Verdict.UNDECIDED  # instance b was asked for nothing any more
    told.asks("csrf.post", 14.5, 503, instance="http://b")
    assert check(told.history()).verdict is Verdict.VIOLATED
    told.posts(13.0, "t1", "t2", instance="http://b")
    finding = check(told.history())
    assert finding.verdict is Verdict.HOLDS
    assert finding.observed == 1.02
    since_fault = writes_again_within("csrf.post", phase="kill", bound_s=2.0, since_store_answers=False)
    assert since_fault(told.history()).verdict is Verdict.VIOLATED


def test_conn_2_writes_that_were_not_asked_for_long_enough_decide_nothing() -> None:
    check = writes_again_within("csrf.post", phase="kill", bound_s=2.0, since_store_answers=True)
    told = Told()
    told.posts(9.0, "t0", "t1")
    told.asks("csrf.post", 12.5, 503)
    assert check(told.history()).verdict is Verdict.UNDECIDED
    told.asks("csrf.post", 14.5, 503)
    assert check(told.history()).verdict is Verdict.VIOLATED


def test_conn_2_a_fault_that_the_store_does_not_feel_is_over_with_its_cure() -> None:
    told = Told()
    told.events = [KILL, *(Observation("store.answers", at, 1, {"phase": "kill"}) for at in (10.2, 11.0, 12.0))]
    told.posts(9.0, "t0", "t1")
    told.posts(12.5, "t1", "t2")
    verdicts = [
        writes_again_within("csrf.post", phase="kill", bound_s=2.0, since_store_answers=True, since_cure=cure)(
            told.history()
        ).verdict
        for cure in (True, False)
    ]
    assert verdicts == [Verdict.HOLDS, Verdict.VIOLATED]


def test_conn_2_a_store_that_never_answered_again_decides_nothing() -> None:
    check = writes_again_within("csrf.post", phase="kill", bound_s=2.0, since_store_answers=True)
    told = Told()
    told.posts(9.0, "t0", "t1")
    dead = [event for event in told.events if not (isinstance(event, Observation) and event.at >= 12)]
    assert check(History(0.0, tuple(dead))).verdict is Verdict.UNDECIDED
    assert check(Told().history()).verdict is Verdict.UNDECIDED


def rotations() -> Told:
    """One session with two acknowledged rotations long before the fault and one just before it."""
    told = Told()
    told.asks("csrf.fetch", 1.0, token="t0")
    told.posts(2.0, "t0", "t1")
    told.posts(3.0, "t1", "t2")
    told.posts(9.95, "t2", "t3")
    return told


def test_writes_that_are_all_there_afterwards_hold() -> None:
    told = rotations()
    told.asks("csrf.fetch", 13.0, token="t3")
    finding = writes_accounted_for(phase="kill", at_most=0)(told.history())
    assert finding.verdict is Verdict.HOLDS
    assert finding.observed == 0
    assert finding.samples == 3


def test_a_write_lost_just_before_the_kill_is_counted_and_allowed_only_where_declared() -> None:
    told = rotations()
    told.asks("csrf.fetch", 13.0, token="t2")
    allowed = writes_accounted_for(phase="kill", window_s=1.0)(told.history())
    assert allowed.verdict is Verdict.HOLDS
    assert allowed.observed == 1
    assert writes_accounted_for(phase="kill", at_most=0)(told.history()).verdict is Verdict.VIOLATED


def test_an_old_write_that_is_gone_is_no_replication_lag() -> None:
    told = rotations()
    told.asks("csrf.fetch", 13.0, token="t1")
    assert writes_accounted_for(phase="kill", window_s=1.0)(told.history()).verdict is Verdict.VIOLATED


def test_a_record_that_is_gone_loses_all_its_writes() -> None:
    told = rotations()
    told.asks("csrf.fetch", 13.0, token="never seen before")
    assert len(account_of_writes(told.history(), phase="kill").lost) == 3


def test_a_session_that_is_unknown_afterwards_has_lost_all_its_writes() -> None:
    told = rotations()
    told.asks("csrf.fetch", 13.0, 401)
    assert len(account_of_writes(told.history(), phase="kill").lost) == 3
    assert writes_accounted_for(phase="kill", at_most=0)(told.history()).verdict is Verdict.VIOLATED


def test_one_late_answer_after_the_cure_is_no_silence_of_the_store() -> None:
    readings = [
        Observation("store.answers", at, value, {"phase": "kill"}) for at, value in ((10.2, 1), (13.0, 0), (13.1, 1))
    ]
    assert store_back_at(History(0.0, (KILL, *readings)), "kill", KILL) == KILL.started_at


def test_readings_that_a_busy_machine_took_late_do_not_put_off_what_a_cure_by_hand_brought_back() -> None:
    late = [Observation("store.answers", at, at > 16, {"phase": "kill"}) for at in (10.2, 11.4, 13.0, 17.0)]
    assert store_back_at(History(0.0, (KILL, *late)), "kill", KILL) == 17.0
    by_hand = replace(KILL, labels={"phase": "kill", "cured_by": "hand"})
    assert store_back_at(History(0.0, (by_hand, *late)), "kill", by_hand) == by_hand.ended_at
    soon = [Observation("store.answers", at, at > 10.5, {"phase": "kill"}) for at in (10.2, 10.8)]
    assert store_back_at(History(0.0, (by_hand, *soon)), "kill", by_hand) == 10.8


def test_a_request_without_a_clear_answer_may_explain_a_new_token() -> None:
    told = rotations()
    told.posts(10.1, "t3", None, None)
    told.asks("csrf.fetch", 13.0, token="rotated unseen")
    assert writes_accounted_for(phase="kill", at_most=0)(told.history()).verdict is Verdict.HOLDS


def test_a_token_that_the_session_was_shown_to_hold_again_is_no_false_accept() -> None:
    told = rotations()
    told.asks("csrf.fetch", 13.0, token="t2")
    told.posts(13.1, "t2", "t4")
    assert account_of_writes(told.history(), phase="kill").false_accepts == []


def test_a_session_that_was_never_read_again_leaves_the_count_undecided() -> None:
    assert writes_accounted_for(phase="kill", at_most=0)(rotations().history()).verdict is Verdict.UNDECIDED
    before = rotations()
    before.asks("csrf.fetch", 9.99, token="t3")  # read, but not since the fault
    assert writes_accounted_for(phase="kill", at_most=0)(before.history()).verdict is Verdict.UNDECIDED
    assert writes_accounted_for(phase="kill", at_most=0)(Told().history()).verdict is Verdict.UNDECIDED


def test_a_used_token_that_passes_after_a_lost_write_is_explained() -> None:
    check = no_unexplained_false_accept(phase="kill", window_s=1.0)
    told = rotations()
    told.replays(9.97, "t2")
    told.replays(12.5, "t2", successor="t9")
    finding = check(told.history())
    assert finding.verdict is Verdict.HOLDS
    assert "1 passed" in finding.reason
    assert len(account_of_writes(told.history(), phase="kill").lost) == 1


def test_a_used_token_that_passes_without_a_fault_between_is_convicted() -> None:
    check = no_unexplained_false_accept(phase="kill", window_s=1.0)
    before = rotations()
    accepted = before.replays(5.0, "t1", successor="t9")
    finding = check(before.history())
    assert finding.verdict is Verdict.VIOLATED
    assert finding.evidence[-1] == accepted.id
    old = rotations()
    old.replays(12.5, "t0", successor="t9")
    assert check(old.history()).verdict is Verdict.VIOLATED
    assert check(rotations().history()).verdict is Verdict.UNDECIDED


def test_a_used_token_that_passes_and_brings_no_successor_is_convicted_all_the_same() -> None:
    told = rotations()
    passed = told.asks("csrf.post", 12.5, 201, sent={"token": "t0", "replay": True})
    finding = no_unexplained_false_accept(phase="kill", window_s=1.0)(told.history())
    assert (finding.verdict, finding.evidence[-1]) == (Verdict.VIOLATED, passed.id)


def test_a_used_token_that_passes_although_the_session_still_held_a_newer_one_is_not_explained_by_the_fault() -> None:
    told = rotations()
    told.posts(10.05, "t3", None, None)  # without an answer, so that another token may be held
    told.asks("csrf.fetch", 12.2, token="t7")
    told.replays(12.5, "t2", successor="t9")
    assert no_unexplained_false_accept(phase="kill", window_s=1.0)(told.history()).verdict is Verdict.VIOLATED


def test_replays_from_before_the_fault_show_nothing_of_it() -> None:
    check = no_unexplained_false_accept(phase="kill", window_s=1.0)
    told = rotations()
    told.replays(9.0, "t1")
    assert check(told.history()).verdict is Verdict.UNDECIDED
    told.replays(12.5, "t1")
    assert check(told.history()).verdict is Verdict.HOLDS


def test_the_hypothesis_is_checked_again_after_the_cure() -> None:
    check = well_again("csrf", phase="kill")
    told = Told()
    told.asks("csrf.post", 10.1, 503)
    assert check(told.history()).verdict is Verdict.UNDECIDED
    told.asks("csrf.post", 14.5, 201)
    assert check(told.history()).verdict is Verdict.HOLDS
    told.asks("csrf.post", 15.0, 503)
    assert check(told.history()).verdict is Verdict.VIOLATED


def test_sessions_that_nobody_knows_after_the_cure_are_not_well_again() -> None:
    told = Told()
    told.asks("session.use", 14.5)
    assert well_again("session", phase="kill")(told.history()).verdict is Verdict.HOLDS
    unknown = told.asks("session.use", 15.0, 401)
    finding = well_again("session", phase="kill")(told.history())
    assert (finding.verdict, tuple(finding.evidence)) == (Verdict.VIOLATED, (unknown.id,))
