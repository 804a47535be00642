"""Hand-written histories of a fallback: the store is killed at second 10 and answers again at second 12."""

from collections.abc import Sequence

from cryptosense.workbench.claims.fallback import admissions_within_insurance, fallback_is_told, hands_back_within
from cryptosense.workbench.history import Event, History, Observation, Operation, Outcome, Span, SpanKind
from cryptosense.workbench.verdicts import Verdict

KILL = Span(SpanKind.FAULT, "kill", 10.0, 11.0, {"phase": "kill"})
SILENT = [
    Observation("store.answers", at, value, {"phase": "kill"})
    for at, value in ((9.0, 1), (10.2, 0), (11.5, 0), (12.0, 1), (14.0, 1))
]
ANSWERING = [Observation("store.answers", at, 1, {"phase": "kill"}) for at in (9.0, 10.2, 11.5, 12.0)]


def said(*readings: tuple[float, int], instance: str = "a", **labels: str) -> list[Event]:
    return [
        Observation("ready.degraded", at, value, {"phase": "kill", "instance": instance, **labels})
        for at, value in readings
    ]


def history(*events: Sequence[Event], store: Sequence[Event] = SILENT) -> History:
    return History(0.0, (KILL, *store, *(event for part in events for event in part)))


TOLD = fallback_is_told(phase="kill")
BACK = hands_back_within(phase="kill", bound_s=2.0)


def test_rate_7_an_instance_that_says_nothing_of_its_fallback_is_convicted() -> None:
    loud = said((9.0, 0), (10.3, 1), (11.5, 1), (12.5, 0))
    assert TOLD(history(loud)).verdict is Verdict.HOLDS
    finding = TOLD(history(loud, said((9.0, 0), (10.3, 0), (11.5, 0), instance="b")))
    assert (finding.verdict, finding.observed, finding.samples) == (Verdict.VIOLATED, 1, 2)
    assert "(b)" in finding.reason


def test_rate_7_readiness_that_was_not_told_in_time_or_not_at_all_decides_nothing() -> None:
    assert TOLD(history(said((9.0, 0), (10.3, 0), (12.5, 0)))).verdict is Verdict.UNDECIDED
    assert TOLD(history(said((11.0, 1), (11.5, 1), answered="no"))).verdict is Verdict.UNDECIDED
    assert TOLD(history(said((11.0, 0)), store=ANSWERING)).verdict is Verdict.UNDECIDED
    assert TOLD(history()).verdict is Verdict.UNDECIDED


def test_rate_7_a_silent_instance_on_a_busy_machine_may_only_have_been_late() -> None:
    silent = said((10.3, 0), (11.5, 0))
    assert TOLD(history(silent)).verdict is Verdict.VIOLATED
    busy = [Observation("machine.foreign_cpu", 11.0, 0.8)]
    assert TOLD(history(silent, busy)).verdict is Verdict.UNDECIDED


def test_rate_7_of_a_stranger_whose_readiness_knows_no_fallback_nothing_is_asked() -> None:
    hook = Span(SpanKind.FAULT, "kill", 10.0, 12.0, {"phase": "kill", "cured_by": "hook"})
    asked = said((10.3, 0), (11.5, 0))
    assert TOLD(History(0.0, (hook, *asked))).verdict is Verdict.UNDECIDED


def test_conn_2_a_fallback_that_goes_on_deciding_is_convicted() -> None:
    assert BACK(history(said((10.5, 1), (12.5, 1), (13.0, 0), (15.0, 0)))).verdict is Verdict.HOLDS
    finding = BACK(history(said((10.5, 1), (12.5, 1), (14.5, 1), (15.0, 0))))
    assert finding.verdict is Verdict.VIOLATED
    assert finding.observed == 2.5
    assert BACK(history(said((10.5, 1), (12.5, 0)))).verdict is Verdict.UNDECIDED
    assert BACK(history()).verdict is Verdict.UNDECIDED


def test_conn_2_where_no_fallback_ever_decided_there_is_nothing_to_hand_back() -> None:
    finding = BACK(history(said((9.0, 0), (10.5, 0), (12.5, 0), (15.0, 0))))
    assert finding.verdict is Verdict.UNDECIDED
    assert "nothing to hand back" in finding.reason
    unsaid = said((10.5, 1), answered="no") + said((12.5, 0), (15.0, 0))
    assert BACK(history(unsaid)).verdict is Verdict.UNDECIDED


def test_conn_2_an_instance_that_stopped_answering_has_not_handed_back() -> None:
    gone = said((10.5, 1)) + said((12.5, 1), (14.5, 1), (16.0, 1), answered="no")
    assert BACK(history(gone)).verdict is Verdict.VIOLATED


def test_conn_2_a_fault_that_the_store_does_not_feel_is_over_with_its_cure() -> None:
    readings = said((10.3, 1), (12.5, 1), (12.8, 0), (15.0, 0))
    assert hands_back_within(phase="kill", bound_s=2.0, since_cure=True)(
        history(readings, store=ANSWERING)
    ).verdict is (Verdict.HOLDS)
    assert BACK(history(readings, store=ANSWERING)).verdict is Verdict.VIOLATED


def probed(*moments: float, status: int | None = 200) -> list[Event]:
    """Probes of 20 ms; their numbers are their moments in hundredths."""
    outcome = Outcome.UNKNOWN if status is None else Outcome.OK if status < 400 else Outcome.FAILED
    return [
        Operation(round(at * 100), "limit.probe", "hot", "http://a", at, at + 0.02, outcome, status, "kill")
        for at in moments
    ]


def steps(start: float, count: int) -> list[float]:
    return [start + number / 10 for number in range(count)]


INSURED = admissions_within_insurance("limit.probe", phase="kill", actor="hot", limit=5, window_s=5.0, insurance=3)
USED = probed(*steps(8.0, 5)) + probed(8.5, status=429)


def test_rate_7_admissions_stay_under_limit_and_insurance_in_an_outage() -> None:
    insured = USED + probed(*steps(10.5, 3))
    assert INSURED(history(insured, probed(*steps(10.8, 3), status=429))).verdict is Verdict.HOLDS
    finding = INSURED(history(insured, probed(10.8)))
    assert (finding.verdict, finding.observed) == (Verdict.VIOLATED, 9)


def test_rate_7_so_few_requests_in_the_outage_that_any_limiter_would_do_decide_nothing() -> None:
    finding = INSURED(history(USED, probed(*steps(10.5, 3))))
    assert finding.verdict is Verdict.UNDECIDED
    assert "would come to 8" in finding.reason
    unanswered = probed(*steps(10.8, 9), status=None)
    assert INSURED(history(USED, probed(*steps(10.5, 3)), unanswered)).verdict is Verdict.UNDECIDED


def test_rate_7_no_insurance_is_due_in_windows_that_no_outage_touches() -> None:
    early = probed(*steps(2.0, 6)) + probed(2.6, status=429)
    assert INSURED(history(early)).verdict is Verdict.VIOLATED
    late = USED + probed(*steps(15.0, 6)) + probed(15.7, status=429)
    assert INSURED(history(late)).verdict is Verdict.VIOLATED
    # That an instance hands back late may be the machine's doing.
    assert INSURED(history(late, [Observation("machine.foreign_cpu", 13.0, 0.8)])).verdict is Verdict.UNDECIDED


def rotated(*, then_holds: str) -> list[Event]:
    """A session whose token t0 became t1 before the fault; what it holds after the cure."""
    place = ("writer", "http://a")
    return [
        Operation(
            1, "csrf.post", *place, 9.8, 9.9, Outcome.OK, 201, "kill", None, {"token": "t0"}, {"successor": "t1"}
        ),
        Operation(2, "csrf.fetch", *place, 13.0, 13.1, Outcome.OK, 200, "kill", None, {}, {"token": then_holds}),
    ]


def test_rate_7_a_store_that_lost_acknowledged_writes_forgot_admissions_too_and_no_more_than_the_limit() -> None:
    may_forget = admissions_within_insurance(
        "limit.probe", phase="kill", actor="hot", limit=5, window_s=5.0, insurance=3, may_forget=True
    )
    over = USED + probed(*steps(10.5, 6)) + probed(*steps(11.1, 8), status=429)
    assert may_forget(history(over, rotated(then_holds="t0"))).verdict is Verdict.HOLDS
    assert may_forget(history(over, rotated(then_holds="t1"))).verdict is Verdict.VIOLATED
    assert INSURED(history(over, rotated(then_holds="t0"))).verdict is Verdict.VIOLATED
    far_over = USED + probed(*steps(10.5, 9)) + probed(*steps(11.4, 5), status=429)
    assert may_forget(history(far_over, rotated(then_holds="t0"))).verdict is Verdict.VIOLATED


def test_rate_9_a_fault_that_takes_nothing_away_adds_nothing_to_the_limit() -> None:
    exact = admissions_within_insurance("limit.probe", phase="kill", actor="hot", limit=5, window_s=5.0, insurance=0)
    assert exact(history(USED, store=ANSWERING)).verdict is Verdict.HOLDS
    assert exact(history(USED, probed(10.5), store=ANSWERING)).verdict is Verdict.VIOLATED


def test_rate_7_a_limit_that_was_never_reached_proves_nothing() -> None:
    assert INSURED(history(probed(8.0))).verdict is Verdict.UNDECIDED
    assert INSURED(history()).verdict is Verdict.UNDECIDED
