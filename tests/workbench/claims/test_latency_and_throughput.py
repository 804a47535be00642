"""Hand-written histories on which the timing claims hold, convict and cannot tell."""

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from cryptosense.workbench.claims.latency import percentile_within, times_faster
from cryptosense.workbench.claims.noise import unless_noisy
from cryptosense.workbench.claims.throughput import (
    every_request_answered,
    every_request_served,
    keeps_up,
    throughput_holds,
)
from cryptosense.workbench.history import Event, History, Observation, Operation, Outcome, Span, SpanKind
from cryptosense.workbench.verdicts import Verdict


def reads(
    phase: str,
    latencies: Iterable[float],
    *,
    first: int = 0,
    status: int | None = 200,
    every: float = 0.1,
    got: dict[str, Any] | None = None,
) -> list[Event]:
    return [
        Operation(
            id=first + place,
            kind="tokens.read",
            actor="a",
            instance="http://i",
            invoked_at=place * every,
            completed_at=place * every + latency,
            outcome=Outcome.OK if status == 200 else Outcome.UNKNOWN if status is None else Outcome.FAILED,
            status=status,
            phase=phase,
            got=got or {},
        )
        for place, latency in enumerate(latencies)
    ]


def history(*events: Event | list[Event]) -> History:
    flat: list[Event] = []
    for event in events:
        flat.extend(event if isinstance(event, list) else [event])
    return History(started_at=0.0, events=tuple(flat))


def spread(count: int, low: float, high: float, seed: int = 1) -> list[float]:
    draw = random.Random(seed)
    return [draw.uniform(low, high) for _ in range(count)]


def phase(name: str, start: float, end: float) -> Span:
    return Span(SpanKind.PHASE, name, start, end)


FASTER = times_faster("tokens.read", slow="cold", fast="warm", q=50, at_least=4)


def test_a_hit_that_is_many_times_faster_than_a_miss_holds() -> None:
    finding = FASTER(history(reads("cold", spread(60, 0.2, 0.5)), reads("warm", spread(200, 0.005, 0.01), first=100)))
    assert finding.verdict is Verdict.HOLDS
    assert finding.interval is not None
    assert finding.interval[0] > 4


def test_hits_as_slow_as_misses_convict() -> None:
    finding = FASTER(history(reads("cold", spread(60, 0.2, 0.5)), reads("warm", spread(60, 0.2, 0.5, seed=2))))
    assert finding.verdict is Verdict.VIOLATED


def test_slow_hits_on_a_busy_machine_convict_nobody() -> None:
    busy = Observation("machine.foreign_cpu", 1.0, 0.8)
    finding = FASTER(history(reads("cold", spread(60, 0.2, 0.5)), reads("warm", spread(60, 0.1, 0.15)), busy))
    assert finding.verdict is Verdict.UNDECIDED
    assert "80%" in finding.reason


def test_hits_that_are_no_faster_at_all_convict_on_a_busy_machine_too() -> None:
    busy = Observation("machine.foreign_cpu", 1.0, 0.8)
    finding = FASTER(history(reads("cold", spread(60, 0.2, 0.5)), reads("warm", spread(60, 0.2, 0.5, seed=2)), busy))
    assert finding.verdict is Verdict.VIOLATED


def test_fast_hits_on_a_busy_machine_still_hold() -> None:
    busy = Observation("machine.foreign_cpu", 1.0, 0.8)
    found = FASTER(history(reads("cold", spread(60, 0.2, 0.5)), reads("warm", spread(60, 0.005, 0.01)), busy))
    assert found.verdict is Verdict.HOLDS


def test_a_phase_without_answers_is_undecided() -> None:
    assert FASTER(history(reads("cold", spread(60, 0.2, 0.5)))).verdict is Verdict.UNDECIDED


def test_the_times_of_the_few_that_were_served_tell_nothing() -> None:
    lucky = [reads("cold", spread(60, 0.2, 0.5)), reads("warm", spread(200, 0.005, 0.01), first=100)]
    failed = reads("warm", [0.001] * 50, first=900, status=503)
    assert FASTER(history(*lucky, failed)).verdict is Verdict.UNDECIDED
    within = percentile_within("tokens.read", phase="warm", q=50, bound_ms=50)
    assert within(history(*lucky, failed)).verdict is Verdict.UNDECIDED
    assert within(history(*lucky, failed[:5])).verdict is Verdict.HOLDS


def test_served_is_who_got_what_was_asked_for_and_nobody_else() -> None:
    check = every_request_served("visit", phase="churn")
    around = phase("churn", 0, 10)

    def visits(*statuses: int | None) -> list[Event]:
        asked = reads("churn", [0.01] * len(statuses))
        return [
            replace(event, kind="visit", status=status)
            for event, status in zip(asked, statuses, strict=True)
            if isinstance(event, Operation)
        ]

    assert check(history(around, visits(200, 201))).verdict is Verdict.HOLDS
    for refused in (429, 403, 404, 302, 503, None):
        finding = check(history(around, visits(200, refused)))
        assert (finding.verdict, finding.observed, tuple(finding.evidence)) == (Verdict.VIOLATED, 1, (1,)), refused
    assert check(history(around)).verdict is Verdict.UNDECIDED


def test_a_tail_percentile_needs_ten_samples_beyond_it() -> None:
    within = percentile_within("tokens.read", phase="warm", q=99.9, bound_ms=50)
    finding = within(history(reads("warm", spread(9_000, 0.001, 0.002), every=0.001)))
    assert finding.verdict is Verdict.UNDECIDED
    assert "10000" in finding.reason


def test_a_bound_inside_the_interval_is_undecided() -> None:
    within = percentile_within("tokens.read", phase="warm", q=50, bound_ms=10)
    assert within(history(reads("warm", spread(40, 0.0, 0.020)))).verdict is Verdict.UNDECIDED


def test_a_bound_above_or_below_the_interval_decides() -> None:
    found = history(reads("warm", spread(200, 0.010, 0.012)))
    assert percentile_within("tokens.read", phase="warm", q=50, bound_ms=50)(found).verdict is Verdict.HOLDS
    assert percentile_within("tokens.read", phase="warm", q=50, bound_ms=5)(found).verdict is Verdict.VIOLATED


def test_noise_is_read_next_to_the_stretch_when_none_lies_within() -> None:
    convicted = percentile_within("tokens.read", phase="warm", q=50, bound_ms=5)(history(reads("warm", [0.02] * 50)))
    after = history(Observation("machine.foreign_cpu", 9.0, 0.9))
    assert unless_noisy(convicted, after, 0.0, 5.0).verdict is Verdict.UNDECIDED
    assert unless_noisy(convicted, history(), 0.0, 5.0).verdict is Verdict.VIOLATED


def test_every_request_answered_allows_refusals_by_the_limiter_and_nothing_else() -> None:
    check = every_request_answered("tokens.read", phase="plan")
    around = phase("plan", 0, 10)
    good = reads("plan", [0.01] * 20)
    limited = reads("plan", [0.01] * 5, first=50, status=429)
    assert check(history(around, good, limited)).verdict is Verdict.HOLDS
    for status in (500, 503, None):
        finding = check(history(around, good, reads("plan", [0.01], first=70, status=status)))
        assert finding.verdict is Verdict.VIOLATED
        assert tuple(finding.evidence) == (70,)
    assert check(history(around)).verdict is Verdict.UNDECIDED
    unlimited = every_request_answered("tokens.read", phase="plan", limited_too=False)
    assert unlimited(history(around, good)).verdict is Verdict.HOLDS
    assert unlimited(history(around, good, limited)).verdict is Verdict.VIOLATED


HONEST_503 = {"code": "STATE_UNAVAILABLE", "retry_after": 1}


@pytest.mark.parametrize(
    ("refused_load", "verdict"),
    [
        (Verdict.VIOLATED, Verdict.VIOLATED),
        (Verdict.UNDECIDED, Verdict.UNDECIDED),
        (Verdict.HOLDS, Verdict.HOLDS),
    ],
)
def test_an_honest_503_under_overload_is_refused_load_and_no_lie(refused_load: Verdict, verdict: Verdict) -> None:
    check = every_request_answered("tokens.read", phase="plan", refused_load=refused_load)
    shed = reads("plan", [0.01] * 5, first=50, status=503, got=HONEST_503)
    assert check(history(phase("plan", 0, 10), reads("plan", [0.01] * 20), shed)).verdict is verdict


@pytest.mark.parametrize("got", [{}, {"code": "STATE_UNAVAILABLE"}, {"retry_after": 1}, {**HONEST_503, "code": "OOPS"}])
def test_a_503_without_its_code_or_its_time_convicts_under_overload_too(got: dict[str, Any]) -> None:
    check = every_request_answered("tokens.read", phase="plan", refused_load=Verdict.HOLDS)
    shed = reads("plan", [0.01], first=50, status=503, got=got)
    assert check(history(phase("plan", 0, 10), reads("plan", [0.01] * 20), shed)).verdict is Verdict.VIOLATED


def test_a_503_is_not_asked_for_what_its_deployment_does_not_send() -> None:
    check = every_request_answered("tokens.read", phase="plan", refused_load=Verdict.HOLDS)
    shed = reads("plan", [0.01], first=50, status=503, got={"retry_after": 1})
    told = Observation("untold", 0.0, 1.0, {"topic": "codes", "reason": "[errors] code_field names no field"})
    assert check(history(phase("plan", 0, 10), reads("plan", [0.01] * 20), shed, told)).verdict is Verdict.HOLDS


def test_a_service_that_refuses_everything_is_not_acquitted() -> None:
    check = every_request_answered("tokens.read", phase="plan", refused_load=Verdict.HOLDS)
    shed = reads("plan", [0.01] * 20, status=503, got=HONEST_503)
    assert check(history(phase("plan", 0, 10), shed)).verdict is Verdict.UNDECIDED


def sweep(heaviest: int) -> list[Event]:
    light = reads("closed 1", [0.01] * 100, every=0.01)
    middle = reads("closed 8", [0.01] * 400, first=1000, every=0.0025)
    heavy = reads("closed 32", [0.01] * heaviest, first=2000, every=1 / heaviest)
    return [phase("closed 1", 0, 1), phase("closed 8", 1, 2), phase("closed 32", 2, 3), *light, *middle, *heavy]


def test_a_sweep_that_keeps_its_throughput_holds_and_one_that_collapses_convicts() -> None:
    check = throughput_holds("tokens.read", phase="closed", at_least=0.6)
    assert check(history(sweep(380))).verdict is Verdict.HOLDS
    assert check(history(sweep(60))).verdict is Verdict.VIOLATED


def test_a_sweep_whose_generator_was_the_bottleneck_is_undecided() -> None:
    check = throughput_holds("tokens.read", phase="closed", at_least=0.6)
    busy = Observation("generator.busy", 2.5, 0.98, {"phase": "closed 32"})
    assert check(history(sweep(60), busy)).verdict is Verdict.UNDECIDED
    assert check(history(sweep(380), busy)).verdict is Verdict.UNDECIDED  # nothing heavier was sent than it could send
    assert check(history()).verdict is Verdict.UNDECIDED


def test_a_schedule_that_is_not_kept_up_with_convicts() -> None:
    check = keeps_up("tokens.read", phase="open 50%", at_least=0.95)
    around = phase("open 50%", 0, 10.5)
    assert check(history(around, reads("open 50%", [0.02] * 100))).verdict is Verdict.HOLDS
    late = reads("open 50%", [0.02] * 80) + reads("open 50%", [30.0] * 20, first=200)
    assert check(history(around, late)).verdict is Verdict.VIOLATED
    overworked = Observation("generator.busy", 5.0, 0.99, {"phase": "open 50%"})
    assert check(history(around, late, overworked)).verdict is Verdict.UNDECIDED


def test_a_sweep_that_the_ceiling_held_back_from_the_first_step_acquits_nobody() -> None:
    check = throughput_holds("tokens.read", phase="closed", at_least=0.6)
    level = [*reads("closed 1", [0.01] * 100, every=0.01), *reads("closed 8", [0.01] * 100, first=1000, every=0.01)]
    steps = phase("closed 1", 0, 1), phase("closed 8", 1, 2)
    assert check(history(*steps, level)).verdict is Verdict.HOLDS
    granted = Observation("ceiling.rate", 0.0, 100.0, {"phase": "closed 1"})
    finding = check(history(*steps, level, granted))
    assert finding.verdict is Verdict.UNDECIDED
    assert "--max-rate" in finding.reason
    plenty = Observation("ceiling.rate", 0.0, 5000.0, {"phase": "closed 1"})
    assert check(history(*steps, level, plenty)).verdict is Verdict.HOLDS


def test_a_schedule_that_the_deployments_own_limit_cut_short_is_undecided() -> None:
    check = keeps_up("tokens.read", phase="open 50%", at_least=0.95)
    around = phase("open 50%", 0, 10.5)
    served, limited = reads("open 50%", [0.02] * 60), reads("open 50%", [0.02] * 40, first=200, status=429)
    finding = check(history(around, served, limited))
    assert finding.verdict is Verdict.UNDECIDED
    assert "429" in finding.reason
    failed = reads("open 50%", [0.02] * 20, first=400, status=500)
    assert check(history(around, served, limited, failed)).verdict is Verdict.VIOLATED
