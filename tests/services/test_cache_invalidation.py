"""CACHE-4: nothing from before an invalidation is stored after it, nor served to who asked after it."""

import asyncio
from typing import Any

import pytest

from cryptosense.services.cache import Cache
from cryptosense.state.contracts import EntryKind, StateSet
from tests.services.caching import FRESH, KEY, Upstream, turns
from tests.services.conftest import Wire


async def test_cache_4_a_value_fetched_before_an_invalidation_is_never_stored_after_it(
    cache: Cache, other: Cache, upstream: Upstream
) -> None:
    for drop in (
        lambda: other.invalidate(KEY),
        lambda: other.invalidate_tags("space", ["coin"]),
        lambda: other.invalidate_space("space"),
    ):
        upstream.held, upstream.value = asyncio.Event(), "old"
        early = asyncio.create_task(cache.cached(KEY, upstream, FRESH, tags=["coin"]))
        await turns()
        upstream.value = "new"
        await drop()
        upstream.held.set()
        assert (await early).value() == "old"  # it asked before the change
        for instance in (cache, other):
            assert (await instance.cached(KEY, upstream, FRESH, tags=["coin"])).value() == "new"
        await cache.invalidate(KEY)


@pytest.mark.parametrize("same", [True, False], ids=["same instance", "other instance"])
async def test_cache_4_whoever_asks_after_an_invalidation_never_gets_the_value_from_before(
    cache: Cache, other: Cache, upstream: Upstream, same: bool
) -> None:
    upstream.held, upstream.value = asyncio.Event(), "old"
    early = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    upstream.value = "new"
    await (cache if same else other).invalidate(KEY)
    late = [asyncio.create_task(instance.cached(KEY, upstream, FRESH)) for instance in (cache, other)]
    await turns()
    upstream.held.set()
    assert [(await answer).value() for answer in late] == ["new", "new"]
    await early


async def test_cache_4_a_question_on_its_way_is_not_shared_with_later_callers(
    cache: Cache, other: Cache, upstream: Upstream, wire: Wire
) -> None:
    """The reply to the first reader was sent before the invalidation and arrives after the second reader asked."""
    upstream.value = "old"
    await cache.cached(KEY, upstream, FRESH)
    arrive = asyncio.Event()
    inner = wire._inner.read

    async def slow_reply(*arguments: Any, **named: Any) -> Any:
        reply = await inner(*arguments, **named)
        await arrive.wait()
        return reply

    wire._inner.read = slow_reply
    early = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    wire._inner.read = inner
    upstream.value = "new"
    await other.invalidate(KEY)
    late = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    arrive.set()
    assert (await late).value() == "new"
    await early


@pytest.mark.parametrize("call", ["store", "read_or_lease"], ids=["fetcher", "waiter"])
async def test_cache_4_a_result_on_its_way_is_not_shared_with_later_callers(
    cache: Cache, other: Cache, upstream: Upstream, wire: Wire, call: str
) -> None:
    """Redis has answered with the old value, the key is invalidated, and only then does the answer arrive here."""
    upstream.held, upstream.value = asyncio.Event(), "old"
    elsewhere = asyncio.create_task(other.cached(KEY, upstream, FRESH)) if call == "read_or_lease" else None
    await turns()
    early = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    arrive, answered = asyncio.Event(), asyncio.Event()
    inner = getattr(wire._inner, call)

    async def slow_reply(*arguments: Any, **named: Any) -> Any:
        reply = await inner(*arguments, **named)
        answered.set()
        await arrive.wait()
        return reply

    setattr(wire._inner, call, slow_reply)
    upstream.held.set()
    await answered.wait()
    setattr(wire._inner, call, inner)
    upstream.value = "new"
    await wire._inner.invalidate(KEY)  # by an instance that this process knows nothing of
    late = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    arrive.set()
    assert (await late).value() == "new"
    await asyncio.gather(early, *([elsewhere] if elsewhere else []))


async def test_cache_4_a_fetch_that_began_before_the_invalidation_is_not_joined_by_a_question_asked_after_it(
    cache: Cache, upstream: Upstream, wire: Wire, state: StateSet
) -> None:
    """Two questions are under way; the first gets the lease, an invalidation voids it, another instance takes it."""
    upstream.held, upstream.value = asyncio.Event(), "old"
    inner, gates = wire._inner.read_or_lease, [asyncio.Event(), asyncio.Event()]
    on_their_way = iter(gates)

    async def slow_request(*arguments: Any, **named: Any) -> Any:
        await next(on_their_way).wait()
        return await inner(*arguments, **named)

    wire._inner.read_or_lease = slow_request
    early = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    late = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    wire._inner.read_or_lease = inner
    gates[0].set()  # the first question alone reaches the state
    await turns()
    assert upstream.calls == 1
    await wire._inner.invalidate(KEY)
    upstream.value = "new"
    _, elsewhere = await state.cache.read_or_lease(KEY, fence="deadbeef", lease_ms=5_000)
    assert elsewhere is not None
    gates[1].set()
    await turns()
    upstream.held.set()
    await early
    await state.cache.store(elsewhere, EntryKind.VALUE, b'"new"', fresh_ms=30_000, stale_ms=0)
    assert (await late).value() == "new"


async def test_cache_4_a_put_replaces_what_a_fetch_under_way_would_have_stored(
    cache: Cache, other: Cache, upstream: Upstream
) -> None:
    upstream.held, upstream.value = asyncio.Event(), "fetched"
    early = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    assert await other.put(KEY, "put", FRESH)
    upstream.held.set()
    await early
    assert (await cache.cached(KEY, upstream, FRESH)).value() == "put"


async def test_cache_4_copies_in_a_process_do_not_survive_an_invalidation_elsewhere(
    cache: Cache, other: Cache, upstream: Upstream
) -> None:
    await cache.cached(KEY, upstream, FRESH)
    await cache.cached(KEY, upstream, FRESH)
    upstream.value = "new"
    await other.invalidate(KEY)
    assert (await cache.cached(KEY, upstream, FRESH)).value() == "new"
