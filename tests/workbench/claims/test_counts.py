"""Hand-written histories for what was spent upstream and in the database."""

from dataclasses import replace

from cryptosense.workbench.claims.counts import one_fetch_per_expiry, queries_saved, spent_at_most, upstream_rate
from cryptosense.workbench.history import Event, History, Observation, Operation, Outcome, Span, SpanKind
from cryptosense.workbench.verdicts import Verdict


def reads(
    phase: str,
    count: int,
    *,
    start: float = 0.0,
    end: float = 1.0,
    kind: str = "tokens.read",
    cache: str = "miss",
    lasts: float = 0.001,
) -> list[Event]:
    step = (end - start) / max(count, 1)
    return [
        Operation(
            id=int(start * 10_000) + place,
            kind=kind,
            actor="a",
            instance=f"http://i{place % 3}",
            invoked_at=start + place * step,
            completed_at=start + place * step + lasts,
            outcome=Outcome.OK,
            status=200,
            phase=phase,
            got={"x_cache": cache, "version": "v1"},
        )
        for place in range(count)
    ]


def counted(name: str, readings: dict[float, float], **labels: str) -> list[Event]:
    return [Observation(name, at, value, labels) for at, value in readings.items()]


def phase(name: str, start: float, end: float) -> Span:
    return Span(SpanKind.PHASE, name, start, end)


def history(*parts: Event | list[Event]) -> History:
    events: list[Event] = []
    for part in parts:
        events.extend(part if isinstance(part, list) else [part])
    return History(started_at=0.0, events=tuple(events))


STAMPEDE = one_fetch_per_expiry("tokens.read", phase="stampede")


def two_rounds(first: float, second: float, *, lasts: float = 0.3) -> History:
    return history(
        phase("stampede 1", 0, 2),
        phase("stampede 2", 2.1, 4),
        reads("stampede 1", 50, start=0.5, end=1.0, lasts=lasts),
        reads("stampede 2", 50, start=2.5, end=3.0, lasts=lasts),
        counted("upstream.calls", {0.1: 7, 1.9: 7 + first, 2.2: 20, 3.9: 20 + second}),
    )


def test_cache_2_one_upstream_call_for_each_stampede_holds() -> None:
    finding = STAMPEDE(two_rounds(1, 1))
    assert finding.verdict is Verdict.HOLDS
    assert finding.samples == 100


def test_cache_2_a_stampede_that_reaches_the_upstream_convicts() -> None:
    finding = STAMPEDE(two_rounds(1, 50))
    assert finding.verdict is Verdict.VIOLATED
    assert finding.observed == 50
    assert len(finding.evidence) == 2


def test_cache_2_callers_of_whom_no_two_asked_at_the_same_time_waited_for_nobody() -> None:
    finding = STAMPEDE(two_rounds(1, 1, lasts=0.001))
    assert finding.verdict is Verdict.UNDECIDED
    assert "stampede 1, stampede 2" in finding.reason
    assert STAMPEDE(two_rounds(1, 2, lasts=0.001)).verdict is Verdict.VIOLATED


def test_cache_2_who_went_past_a_store_that_a_busy_machine_made_slow_convicts_nobody() -> None:
    stampede = two_rounds(1, 2)
    past = [
        replace(event, got={"x_cache": "bypass"})
        if isinstance(event, Operation) and event.phase == "stampede 2"
        else event
        for event in stampede.events
    ]
    busy = Observation("machine.foreign_cpu", 2.9, 0.8)
    assert STAMPEDE(history(past)).verdict is Verdict.VIOLATED
    assert STAMPEDE(history(past, busy)).verdict is Verdict.UNDECIDED
    assert STAMPEDE(history(list(stampede.events), busy)).verdict is Verdict.VIOLATED


def test_cache_2_a_round_that_was_not_cold_is_undecided() -> None:
    assert STAMPEDE(two_rounds(1, 0)).verdict is Verdict.UNDECIDED
    assert STAMPEDE(history()).verdict is Verdict.UNDECIDED


def test_cache_2_callers_who_wait_and_are_given_nothing_convict() -> None:
    sound = two_rounds(1, 1)
    refused = [
        replace(event, status=503, outcome=Outcome.FAILED)
        if isinstance(event, Operation) and event.invoked_at > 2.6
        else event
        for event in sound.events
    ]
    finding = STAMPEDE(history(refused))
    assert finding.verdict is Verdict.VIOLATED
    assert finding.unit == "callers without the value"


def test_cache_2_without_a_call_count_differing_answers_convict_and_equal_ones_do_not_acquit() -> None:
    equal = reads("stampede 1", 10)
    assert STAMPEDE(history(phase("stampede 1", 0, 2), equal)).verdict is Verdict.UNDECIDED
    other = Operation(
        999, "tokens.read", "b", "http://i", 0.5, 0.6, Outcome.OK, 200, "stampede 1", got={"version": "v2"}
    )
    assert STAMPEDE(history(phase("stampede 1", 0, 2), equal, other)).verdict is Verdict.VIOLATED


def test_a_crowd_that_asks_while_a_key_expires_may_see_what_was_there_before_and_one_new_fetch() -> None:
    check = one_fetch_per_expiry("tokens.read", phase="expiry")

    def crowd(*versions: str) -> list[Event]:
        asked: list[Event] = []
        for place, version in enumerate(versions):
            began, got = 11.0 + 0.1 * place, {"version": version}
            asked.append(
                Operation(
                    100 + place, "tokens.read", "a", "i", began, began + 0.35, Outcome.OK, 200, "expiry 1", got=got
                )
            )
        return asked

    before = reads("earlier", 1, start=0.1, end=0.2)
    around = phase("expiry 1", 0.5, 30)
    assert check(history(around, before, crowd("v1", "v1", "v2", "v2"))).verdict is Verdict.UNDECIDED
    finding = check(history(around, before, crowd("v1", "v1", "v2", "v3")))
    assert finding.verdict is Verdict.VIOLATED
    assert finding.observed == 2


def polled(calls: float, *, seconds: float = 7.0) -> History:
    return history(
        phase("poll", 0, seconds + 0.2),
        reads("poll", 105, start=0.1, end=seconds + 0.1, cache="hit"),
        counted("upstream.calls", {0.05: 3, seconds + 0.15: 3 + calls}),
    )


def test_polling_costs_one_call_per_lifetime_or_convicts() -> None:
    check = upstream_rate("tokens.read", phase="poll", ttl_s=2.0)
    holds = check(polled(4))
    assert holds.verdict is Verdict.HOLDS
    assert isinstance(holds.observed, float)
    assert holds.observed <= 2
    assert check(polled(105)).verdict is Verdict.VIOLATED
    assert check(polled(5)).verdict is Verdict.VIOLATED


def test_polling_for_less_than_two_lifetimes_or_without_a_count_is_undecided() -> None:
    check = upstream_rate("tokens.read", phase="poll", ttl_s=2.0)
    assert check(polled(1, seconds=3.0)).verdict is Verdict.UNDECIDED
    assert check(history(phase("poll", 0, 8), reads("poll", 50, start=0, end=7))).verdict is Verdict.UNDECIDED


def test_a_count_that_does_not_move_shows_no_cache() -> None:
    assert upstream_rate("tokens.read", phase="poll", ttl_s=2.0)(polled(0)).verdict is Verdict.UNDECIDED
    once = spent_at_most("tokens.read", phase="poll", at_most=1, unit="upstream calls")
    verdicts = [once(polled(calls)).verdict for calls in (0, 1, 2)]
    assert verdicts == [Verdict.UNDECIDED, Verdict.HOLDS, Verdict.VIOLATED]


SAVED = queries_saved("portfolios.read", "portfolios.write", cold="cold", writes="writes", mixed="mixed")


def worked(mixed_queries: float) -> History:
    cold = counted("database.queries", {0.1: 0, 0.9: 20}, instance="a")
    writes = counted("database.queries", {1.1: 20, 1.9: 40}, instance="a")
    mixed = counted("database.queries", {2.1: 40, 2.9: 40 + mixed_queries}, instance="a")
    return history(
        phase("cold", 0, 1),
        phase("writes", 1, 2),
        phase("mixed", 2, 3),
        reads("cold", 10, start=0.2, end=0.8, kind="portfolios.read"),
        reads("writes", 5, start=1.2, end=1.8, kind="portfolios.write"),
        reads("mixed", 95, start=2.2, end=2.8, kind="portfolios.read", cache="hit"),
        reads("mixed", 5, start=2.85, end=2.88, kind="portfolios.write"),
        [*cold, *writes, *mixed],
    )


def test_queries_saved_prices_the_same_work_uncached() -> None:
    finding = SAVED(worked(42))  # uncached: 95 reads at 2 and 5 writes at 4 are 210
    assert finding.verdict is Verdict.HOLDS
    assert finding.observed == 0.8
    assert "hit ratio 100%" in finding.reason


def test_a_cache_that_never_hits_saves_no_queries_and_is_convicted() -> None:
    assert SAVED(worked(210)).verdict is Verdict.VIOLATED


def test_a_count_that_writes_do_not_move_saves_nothing() -> None:
    assert SAVED(worked(5)).verdict is Verdict.HOLDS
    assert SAVED(worked(4)).verdict is Verdict.UNDECIDED
    assert SAVED(worked(0)).verdict is Verdict.UNDECIDED


def test_a_workload_whose_writes_all_failed_is_undecided() -> None:
    failed = [
        replace(event, status=503)
        if isinstance(event, Operation) and (event.phase, event.kind) == ("mixed", "portfolios.write")
        else event
        for event in worked(2).events
    ]
    assert SAVED(history(failed)).verdict is Verdict.UNDECIDED


def test_queries_that_cannot_be_counted_are_undecided() -> None:
    uncounted = [event for event in worked(42).events if not isinstance(event, Observation)]
    assert SAVED(history(uncounted)).verdict is Verdict.UNDECIDED
    assert SAVED(history()).verdict is Verdict.UNDECIDED
