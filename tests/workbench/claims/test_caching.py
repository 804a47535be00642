"""Hand-written histories of a cache in trouble: an invalidation during a fetch, and an upstream that fails."""

from cryptosense.workbench.claims.caching import (
    failing_upstream_spared,
    fetched_again_after_invalidation,
    last_good_value_served,
)
from cryptosense.workbench.history import Event, History, Observation, Operation, Outcome, Span, SpanKind
from cryptosense.workbench.verdicts import Verdict


def asked(
    number: int,
    kind: str,
    start: float,
    end: float,
    phase: str,
    *,
    status: int = 200,
    x_cache: str = "miss",
    version: str = "v1",
) -> Operation:
    outcome = Outcome.OK if status < 400 else Outcome.FAILED
    got = {"x_cache": x_cache, "version": version}
    return Operation(number, kind, "a", "http://i", start, end, outcome, status, phase, sent={"ids": "a"}, got=got)


def race(calls: float, *, dropped_at: float = 0.2) -> History:
    """A read from 0.1 to 0.5 s, an invalidation of 20 ms, and a read after both."""
    events: list[Event] = [
        Span(SpanKind.PHASE, "race 1", 0.0, 2.0),
        Observation("upstream.calls", 0.05, 3, {"coins": "a"}),
        asked(1, "tokens.read", 0.1, 0.5, "race 1"),
        asked(2, "tokens.invalidate", dropped_at, dropped_at + 0.02, "race 1"),
        asked(3, "tokens.read", 0.6, 1.0, "race 1"),
        Observation("upstream.calls", 1.9, 3 + calls, {"coins": "a"}),
    ]
    return History(0.0, tuple(events))


def test_cache_4_a_fetch_under_way_is_void_after_an_invalidation_or_convicts() -> None:
    check = fetched_again_after_invalidation(phase="race")
    assert check(race(2)).verdict is Verdict.HOLDS
    finding = check(race(1))
    assert finding.verdict is Verdict.VIOLATED
    assert tuple(finding.evidence) == (1, 3)


def test_cache_4_an_invalidation_that_came_too_late_is_no_race() -> None:
    check = fetched_again_after_invalidation(phase="race")
    assert check(race(1, dropped_at=0.49)).verdict is Verdict.UNDECIDED
    assert check(History(0.0, ())).verdict is Verdict.UNDECIDED


def outage(*answers: tuple[int, str], calls: float = 1) -> History:
    events: list[Event] = [
        Span(SpanKind.PHASE, "outage", 0.0, 10.0),
        Observation("upstream.calls", 0.1, 5, {"coins": "a"}),
        Observation("upstream.calls", 9.9, 5 + calls, {"coins": "a"}),
    ]
    events += [
        asked(number, "tokens.read", 1.0 + number / 10, 1.05 + number / 10, "outage", status=status, x_cache=x_cache)
        for number, (status, x_cache) in enumerate(answers)
    ]
    return History(0.0, tuple(events))


def test_cache_3_the_last_good_value_is_served_and_says_that_it_is_stale() -> None:
    check = last_good_value_served(phase="outage")
    assert check(outage((200, "stale"), (200, "stale"))).verdict is Verdict.HOLDS
    finding = check(outage((200, "stale"), (503, "miss")))
    assert finding.verdict is Verdict.VIOLATED
    assert tuple(finding.evidence) == (1,)


def test_cache_3_another_value_than_the_last_good_one_convicts() -> None:
    check = last_good_value_served(phase="outage")
    told = outage((200, "stale"), (200, "stale"))
    before = asked(90, "tokens.read", 0.2, 0.3, "", version="v1")
    assert check(History(0.0, (before, *told.events))).verdict is Verdict.HOLDS
    other = asked(90, "tokens.read", 0.2, 0.3, "", version="v0")
    finding = check(History(0.0, (other, *told.events)))
    assert (finding.verdict, tuple(finding.evidence)) == (Verdict.VIOLATED, (90, 0))
    later = asked(91, "tokens.read", 2.0, 2.1, "outage", x_cache="stale", version="v2")
    finding = check(History(0.0, (*told.events, later)))
    assert (finding.verdict, tuple(finding.evidence)) == (Verdict.VIOLATED, (0, 91))


def test_cache_3_what_calls_itself_fetched_from_an_upstream_that_fails_convicts() -> None:
    check = last_good_value_served(phase="outage")
    assert check(outage((200, "stale"), (200, "miss"))).verdict is Verdict.VIOLATED


def test_cache_3_answers_that_never_went_stale_show_no_outage() -> None:
    check = last_good_value_served(phase="outage")
    assert check(outage((200, "hit"))).verdict is Verdict.UNDECIDED
    assert check(History(0.0, ())).verdict is Verdict.UNDECIDED


def test_cache_3_a_failing_upstream_is_asked_seldom_or_convicts() -> None:
    check = failing_upstream_spared(phase="outage", reads_per_call=4)
    failed = [(503, "negative")] * 12
    assert check(outage(*failed, calls=2)).verdict is Verdict.HOLDS
    assert check(outage(*failed, calls=12)).verdict is Verdict.VIOLATED
    # An upstream that nobody asked was not spared, and reads that were answered did not meet a failing one.
    assert check(outage(*failed, calls=0)).verdict is Verdict.UNDECIDED
    assert check(outage(*[(200, "hit")] * 12, calls=1)).verdict is Verdict.UNDECIDED
    uncounted = tuple(event for event in outage(*failed).events if not isinstance(event, Observation))
    assert check(History(0.0, uncounted)).verdict is Verdict.UNDECIDED
    assert check(History(0.0, ())).verdict is Verdict.UNDECIDED
