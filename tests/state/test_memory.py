"""What the conformance suite does not see of the memory backend: that it does not grow."""

import asyncio

import pytest

from cryptosense.clock import ManualClock
from cryptosense.state.catalog import open_memory
from cryptosense.state.contracts import CacheKey, Quota, SessionRecord
from cryptosense.state.memory.cache import MemoryCache
from cryptosense.state.memory.sessions import MemorySessions
from cryptosense.state.memory.shelf import Shelf


def test_a_shelf_holds_what_is_live_and_little_more():
    clock = ManualClock()
    shelf: Shelf[int] = Shelf(clock)
    for number in range(20_000):
        shelf.put(f"name-{number}", number, ttl_ms=1000)
        clock.advance(0.01)
    assert len(shelf) <= 101
    for number in range(20_000):
        shelf.put("the same", number, ttl_ms=60_000)
    assert len(shelf._expiries) < 300, "superseded expiries are dropped"
    assert list(shelf.names()) == [*shelf.names()]


def test_an_entry_that_was_put_again_does_not_go_with_its_first_expiry():
    clock = ManualClock()
    shelf: Shelf[str] = Shelf(clock)
    shelf.put("name", "short", ttl_ms=10)
    shelf.put("name", "long", ttl_ms=10_000)
    clock.advance(1)
    shelf.put("other", "x", ttl_ms=10)
    assert shelf.get("name") == "long"
    assert shelf.expires("name") > shelf.now()


async def test_a_churn_of_identities_leaves_nothing_behind():
    clock = ManualClock()
    state = open_memory(clock).state
    sessions = state.sessions
    assert isinstance(sessions, MemorySessions)
    for number in range(3000):
        await sessions.open(SessionRecord(f"u{number}", "s", "d", 0), ttl_ms=1000)
        await state.csrf.current(f"s{number}", "token", ttl_ms=1000)
        await state.windows.admit(f"c{number}", Quota(5, 1000), "decision")
        clock.advance(0.01)
    assert len(sessions._by_user) < 500
    assert len([name async for name in state.csrf.live()]) <= 100
    assert len([name async for name in state.windows.live()]) <= 100
    assert await state.csrf.sweep_orphans() == 0


async def test_those_who_waited_are_forgotten():
    cache = MemoryCache(ManualClock())
    key = CacheKey("space", "name")
    await cache.read_or_lease(key, fence="f", lease_ms=60_000)
    waiting = [asyncio.create_task(cache.wait(key, timeout_ms=60_000)) for _ in range(3)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert cache._waiters == {}


async def test_what_a_service_draws_wrongly_is_refused_on_both_backends(tools, valkey):
    async with tools.opened(tools.address_of(valkey)) as redis:
        for state in (open_memory(ManualClock()).state, redis.state):
            for token in ("", "a b", "é", "x" * 129, "a|b"):
                with pytest.raises(ValueError, match="token"):
                    await state.csrf.replace("session", token, ttl_ms=1000)
                with pytest.raises(ValueError, match="token"):
                    await state.csrf.current("another session", token, ttl_ms=1000)
            for decision in ("short", "x" * 17, "é" * 8):
                with pytest.raises(ValueError, match="decision"):
                    await state.windows.admit("client", Quota(5, 1000), decision)
            for fence in ("", "x" * 33, "a:b"):
                with pytest.raises(ValueError, match="fence"):
                    await state.cache.read_or_lease(CacheKey("a", "b"), fence=fence, lease_ms=1000)
