"""When the state is worth asking."""

import asyncio

from cryptosense.clock import ManualClock
from cryptosense.errors import StateCorrupt, StateUnavailable
from cryptosense.services.breaker import Breaker


def opened(clock: ManualClock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(3):
        breaker.failed(clock.monotonic())
    assert breaker.is_open
    return breaker


def test_it_opens_after_failures_in_a_row_only(clock: ManualClock) -> None:
    changes: list[bool] = []
    breaker = Breaker(clock, failures=3, on_change=changes.append)
    for _ in range(5):
        breaker.failed(clock.monotonic())
        breaker.failed(clock.monotonic())
        breaker.succeeded()
    assert not breaker.is_open
    assert changes == []
    for _ in range(5):
        breaker.failed(clock.monotonic())
    assert breaker.is_open
    assert changes == [True]
    breaker.succeeded()
    assert changes == [True, False]


def test_one_caller_per_interval_is_the_probe(clock: ManualClock) -> None:
    breaker = opened(clock)
    assert not any(breaker.allows() for _ in range(10))
    clock.advance(0.51)
    assert [breaker.allows() for _ in range(10)].count(True) == 1


def test_rate_7_probes_come_often_enough_to_close_within_two_seconds(clock: ManualClock) -> None:
    breaker = opened(clock)
    waited = 0.0
    while not breaker.allows():
        clock.advance(0.01)
        waited += 0.01
    assert waited <= 0.51


def test_a_failure_while_the_own_loop_stood_still_is_not_held_against_the_state(clock: ManualClock) -> None:
    breaker = Breaker(clock, failures=3)
    for _ in range(5):
        breaker.lag.beat()
        started = clock.monotonic()
        clock.advance(0.4)  # 0.3 s late: this process did not run
        breaker.failed(started)
    assert not breaker.is_open
    assert breaker.discounted == 5


def test_a_slow_state_under_a_loop_on_time_is_held_against_the_state(clock: ManualClock) -> None:
    breaker = Breaker(clock, failures=3)
    for _ in range(3):
        started = clock.monotonic()
        for _ in range(4):
            breaker.lag.beat()
            clock.advance(0.1)
        breaker.failed(started)
    assert breaker.is_open
    assert breaker.discounted == 0


def test_a_lag_that_ended_before_the_call_explains_nothing(clock: ManualClock) -> None:
    breaker = Breaker(clock, failures=1)
    breaker.lag.beat()
    clock.advance(1.0)
    breaker.lag.beat()
    clock.advance(0.05)
    breaker.failed(clock.monotonic())
    assert breaker.is_open


def test_a_refusal_at_once_is_held_against_the_state_however_late_the_loop_is(clock: ManualClock) -> None:
    breaker = Breaker(clock, failures=1)
    breaker.lag.beat()
    clock.advance(2.0)  # the heartbeat is overdue, but this call did not wait for anything
    breaker.failed(clock.monotonic())
    assert breaker.is_open


async def watched(breaker: Breaker, clock: ManualClock, probe) -> None:
    """Runs the watch until the breaker closes or 30 s have passed on the clock."""
    task = asyncio.create_task(breaker.watch(probe))
    for _ in range(40):
        await asyncio.sleep(0.1)
        clock.advance(0.5)
        if not breaker.is_open:
            break
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_watch_closes_it_without_any_traffic(clock: ManualClock) -> None:
    breaker, probes = opened(clock), 0

    async def probe() -> None:
        nonlocal probes
        probes += 1
        if probes < 3:
            raise StateUnavailable("still away")

    await watched(breaker, clock, probe)
    assert not breaker.is_open
    assert probes == 3


async def test_an_answer_that_is_not_ours_is_an_answer(clock: ManualClock) -> None:
    breaker = opened(clock)

    async def probe() -> None:
        raise StateCorrupt("foreign", key="cs:probe")

    await watched(breaker, clock, probe)
    assert not breaker.is_open
