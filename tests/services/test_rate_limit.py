"""Admission at the level of the service: by the state, and without it."""

import asyncio
import logging
import random

import pytest

from cryptosense.clock import ManualClock
from cryptosense.errors import ConfigurationError, OutcomeUnknown, StateCorrupt, StateUnavailable
from cryptosense.services.breaker import Breaker
from cryptosense.services.insurance import Insurance
from cryptosense.services.policy import DEFAULT_POLICIES, OnOutage, Policy
from cryptosense.services.rate_limit import Source
from cryptosense.state.contracts import Algorithm, Quota
from tests.services.conftest import LimiterFactory, Wire

API = Policy("api", 100, 900_000)
SMALL = Policy("small", 3, 10_000)
DOWN = StateUnavailable("connection refused")


def test_the_policies_are_the_plans() -> None:
    assert [(policy.name, policy.limit, policy.window_ms) for policy in DEFAULT_POLICIES] == [
        ("auth", 5, 900_000),
        ("api", 100, 900_000),
        ("strict", 10, 60_000),
    ]


@pytest.mark.parametrize(
    ("name", "limit", "window"), [("", 1, 1), ("a:b", 1, 1), ("A", 1, 1), ("a", 0, 1), ("a", 1, 0)]
)
def test_a_policy_that_makes_no_sense_is_refused(name: str, limit: int, window: int) -> None:
    with pytest.raises(ConfigurationError):
        Policy(name, limit, window)


async def test_rate_1_exactly_the_limit_is_admitted_of_300_at_once(limiter: LimiterFactory) -> None:
    limits = limiter(API)
    decisions = await asyncio.gather(*(limits.decide("api", "ip:a") for _ in range(300)))
    assert sum(decision.admitted for decision in decisions) == 100


async def test_rate_2_a_steady_overload_gets_the_full_limit_in_every_window(
    limiter: LimiterFactory, clock: ManualClock
) -> None:
    limits = limiter(Policy("steady", 100, 10_000))
    admitted = []
    for step in range(4 * 130):
        clock.advance(10 / 130)
        admitted.append((step // 130, (await limits.decide("steady", "ip:a")).admitted))
    assert [sum(ok for window, ok in admitted if window == w) for w in range(4)] == [100, 100, 100, 100]


async def test_rate_3_a_client_that_obeys_retry_after_is_admitted(limiter: LimiterFactory, clock: ManualClock) -> None:
    limits, random_ = limiter(SMALL), random.Random(7)
    for _ in range(200):
        clock.advance(random_.uniform(0, 2))
        decision = await limits.decide("small", "ip:a")
        if decision.admitted:
            assert decision.retry_after is None
            continue
        assert decision.retry_after == decision.reset_s
        assert 1 <= (decision.retry_after or 0) <= 10
        clock.advance(decision.retry_after or 0)
        assert (await limits.decide("small", "ip:a")).admitted


async def test_rate_3_retry_after_is_the_next_free_slot_rounded_up(limiter: LimiterFactory, clock: ManualClock) -> None:
    limits = limiter(SMALL)
    for _ in range(3):
        await limits.decide("small", "ip:a")
        clock.advance(0.1)
    clock.advance(9)
    assert (await limits.decide("small", "ip:a")).retry_after == 1  # 0.7 s, not the window's 10


async def test_headers_are_truthful_down_to_the_last_admission(limiter: LimiterFactory) -> None:
    limits = limiter(SMALL)
    seen = [await limits.decide("small", "ip:a") for _ in range(4)]
    assert [(d.admitted, d.limit, d.remaining) for d in seen] == [
        (True, 3, 2), (True, 3, 1), (True, 3, 0), (False, 3, 0),
    ]  # fmt: skip
    assert all(decision.source is Source.STATE for decision in seen)


async def test_each_policy_and_each_client_has_a_budget_of_its_own(limiter: LimiterFactory) -> None:
    limits = limiter(SMALL, Policy("other", 3, 10_000))
    for _ in range(3):
        await limits.decide("small", "ip:a")
    assert not (await limits.decide("small", "ip:a")).admitted
    assert (await limits.decide("other", "ip:a")).admitted
    assert (await limits.decide("small", "ip:b")).admitted
    with pytest.raises(KeyError):
        await limits.decide("unheard-of", "ip:a")


async def test_rate_7_the_insurance_admits_its_share_while_the_state_is_down(
    limiter: LimiterFactory, windows: Wire, clock: ManualClock
) -> None:
    limits = limiter(API, instances=3)
    windows.down = DOWN
    decisions = [await limits.decide("api", "ip:a") for _ in range(200)]
    assert sum(decision.admitted for decision in decisions) == 33
    assert all(decision.source is Source.INSURANCE and decision.limit == 33 for decision in decisions)
    assert decisions[0].remaining == 32
    assert decisions[-1].remaining == 0
    clock.advance(decisions[-1].retry_after or 0)
    assert (await limits.decide("api", "ip:a")).admitted


async def test_rate_7_a_share_is_never_nothing(limiter: LimiterFactory, windows: Wire) -> None:
    limits = limiter(Policy("auth", 5, 900_000), instances=12)
    windows.down = DOWN
    assert [(await limits.decide("auth", "ip:a")).admitted for _ in range(3)] == [True, False, False]


async def test_rate_7_an_outage_costs_a_few_calls_and_then_probes_only(
    limiter: LimiterFactory, windows: Wire, breaker: Breaker
) -> None:
    limits = limiter(API)
    windows.down = DOWN
    for _ in range(100):
        await limits.decide("api", "ip:a")
    assert breaker.is_open
    assert windows.calls["admit"] == 3


async def test_rate_7_it_hands_back_when_the_state_answers(
    limiter: LimiterFactory, windows: Wire, breaker: Breaker, clock: ManualClock
) -> None:
    limits = limiter(SMALL, instances=3)
    await limits.decide("small", "ip:a")
    windows.down = DOWN
    for _ in range(5):
        await limits.decide("small", "ip:a")
    windows.down = None
    assert (await limits.decide("small", "ip:a")).source is Source.INSURANCE
    clock.advance(2)
    handed_back = await limits.decide("small", "ip:a")
    assert handed_back.source is Source.STATE
    assert handed_back.remaining == 1  # what the state had counted before the outage still counts
    assert not breaker.is_open


async def test_rate_7_the_policy_says_who_decides_during_an_outage(limiter: LimiterFactory, windows: Wire) -> None:
    refuses = Policy("refuses", 2, 1000, on_outage=OnOutage.REFUSE)
    admits = Policy("admits", 2, 1000, on_outage=OnOutage.ADMIT)
    limits = limiter(refuses, admits)
    windows.down = DOWN
    with pytest.raises(StateUnavailable):
        await limits.decide("refuses", "ip:a")
    unmetered = [await limits.decide("admits", "ip:a") for _ in range(5)]
    assert all(decision.admitted and decision.source is Source.UNMETERED for decision in unmetered)
    assert unmetered[0].remaining == 0
    assert limits.counts["refuses", "refused", "state"] == 1
    assert limits.counts["admits", "admitted", "unmetered"] == 5


async def test_rate_8_a_foreign_value_is_a_matter_of_its_key_alone(
    limiter: LimiterFactory, windows: Wire, breaker: Breaker, caplog: pytest.LogCaptureFixture
) -> None:
    limits = limiter(SMALL, instances=1)

    async def foreign(_: str) -> None:
        if windows.arguments[-1][1][0] == "small:ip:bad":
            raise StateCorrupt("wrong type", key="cs:{small:ip:bad}")

    windows.before = foreign
    with caplog.at_level(logging.ERROR):
        bad = [await limits.decide("small", "ip:bad") for _ in range(10)]
    assert [decision.admitted for decision in bad] == [True] * 3 + [False] * 7
    assert all(decision.source is Source.INSURANCE for decision in bad)
    assert not breaker.is_open
    assert (await limits.decide("small", "ip:good")).source is Source.STATE
    assert any(getattr(record, "key", "") == "cs:{small:ip:bad}" for record in caplog.records)


async def test_rate_9_a_decision_whose_reply_was_lost_is_asked_again_and_counts_once(
    limiter: LimiterFactory, windows: Wire
) -> None:
    limits = limiter(SMALL, budget_left_ms=lambda: 200.0)
    windows.lost = [OutcomeUnknown("the reply was lost")]
    decision = await limits.decide("small", "ip:a")
    assert (decision.admitted, decision.remaining, decision.source) == (True, 2, Source.STATE)
    (_, first), (_, second) = windows.arguments
    assert first == second
    assert 8 <= len(first[2]) <= 16


@pytest.mark.parametrize("algorithm", [Algorithm.GCRA, Algorithm.COUNTER])
async def test_rate_9_an_algorithm_without_ids_is_not_asked_twice(
    limiter: LimiterFactory, windows: Wire, algorithm: Algorithm
) -> None:
    limits = limiter(Policy("small", 3, 10_000, algorithm), budget_left_ms=lambda: 200.0)
    windows.lost = [OutcomeUnknown("the reply was lost")]
    assert (await limits.decide("small", "ip:a")).source is Source.INSURANCE
    assert windows.calls["admit"] == 1


@pytest.mark.parametrize("left_ms", [None, 0.0, 5.0])
async def test_rate_9_there_is_no_second_try_without_time_for_it(
    limiter: LimiterFactory, windows: Wire, left_ms: float | None
) -> None:
    limits = limiter(SMALL, budget_left_ms=None if left_ms is None else lambda: left_ms)
    windows.lost = [OutcomeUnknown("too late")]
    assert (await limits.decide("small", "ip:a")).source is Source.INSURANCE
    assert windows.calls["admit"] == 1


async def test_rate_9_every_request_draws_a_decision_of_its_own(limiter: LimiterFactory, windows: Wire) -> None:
    limits = limiter(API)
    for _ in range(100):
        await limits.decide("api", "ip:a")
    assert len({arguments[2] for _, arguments in windows.arguments}) == 100


async def test_a_probe_writes_and_does_not_touch_any_client(limiter: LimiterFactory, windows: Wire) -> None:
    limits = limiter(SMALL)
    await limits.probe()
    assert windows.calls["admit"] == 1
    assert (await limits.decide("small", "probe")).remaining == 2
    windows.down = DOWN
    with pytest.raises(StateUnavailable):
        await limits.probe()


def test_the_insurance_forgets_the_least_recently_seen_client(clock: ManualClock) -> None:
    insurance, quota = Insurance(clock, clients=2), Quota(1, 1000)
    assert insurance.admit("a", quota).admitted
    assert insurance.admit("b", quota).admitted
    assert not insurance.admit("a", quota).admitted
    assert insurance.admit("c", quota).admitted
    assert not insurance.admit("a", quota).admitted
    assert insurance.admit("b", quota).admitted  # b was pushed out
    assert len(insurance) == 2


def test_the_insurance_never_exceeds_its_quota_in_any_window(clock: ManualClock) -> None:
    insurance, quota, random_ = Insurance(clock), Quota(5, 1000), random.Random(3)
    admitted = []
    for _ in range(3000):
        clock.advance(random_.choice([0, 0.001, 0.05, 0.3]))
        if insurance.admit("a", quota).admitted:
            admitted.append(clock.monotonic())
    assert all(later - earlier >= 0.999999 for earlier, later in zip(admitted, admitted[5:], strict=False))
    assert len(admitted) > 500
