"""One budget for all state calls of a request."""

import asyncio

import pytest

from cryptosense.clock import ManualClock
from cryptosense.errors import StateUnavailable
from cryptosense.state.contracts import CacheKey
from cryptosense.state.deadline import Budget, current_budget, deadline


def test_time_spent_elsewhere_costs_nothing():
    clock = ManualClock(0)
    budget = Budget(250, clock.monotonic)
    budget.begin()
    clock.advance(0.1)
    budget.end()
    clock.advance(60)
    assert budget.left() == pytest.approx(0.15)
    assert budget.begin() == pytest.approx(0.15)


def test_calls_side_by_side_cost_their_common_time_once():
    clock = ManualClock(0)
    budget = Budget(250, clock.monotonic)
    budget.begin()
    clock.advance(0.05)
    assert budget.begin() == pytest.approx(0.2), "a later call has what is left then"
    clock.advance(0.05)
    budget.end()
    assert budget.left() == pytest.approx(0.15)
    clock.advance(0.05)
    budget.end()
    assert budget.left() == pytest.approx(0.1)


async def test_tasks_of_a_request_share_its_budget_and_other_requests_have_their_own():
    async def seen() -> Budget | None:
        return current_budget()

    with deadline(250) as mine:
        assert await asyncio.create_task(seen()) is mine
        with deadline(100) as inner:
            assert await seen() is inner
        assert await seen() is mine
    assert await seen() is None


async def test_a_used_up_budget_sends_nothing(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened, server.client() as client:
        with deadline(0), pytest.raises(StateUnavailable, match="used up"):
            await opened.state.csrf.replace("session", "token", ttl_ms=60_000)
        assert await client.keys("*") == []
        await opened.state.csrf.replace("session", "token", ttl_ms=60_000)
        assert await client.keys("*") == ["cs:csrf:{session}"]


async def test_waiting_for_somebody_elses_fetch_takes_nothing_from_the_budget(tools, valkey):
    async with tools.opened(tools.address_of(valkey), prefix="budget:") as opened:
        key = CacheKey("space", "waited")
        await opened.state.cache.read_or_lease(key, fence="fence", lease_ms=60_000)
        with deadline(5_000) as budget:
            await opened.state.cache.wait(key, timeout_ms=300)
            assert budget.left() > 4.8
            await opened.state.cache.read(key)
