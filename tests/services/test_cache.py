"""The cache at the level of the service: hits, and one fetch per expiry, on two instances on one state."""

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from cryptosense.clock import ManualClock
from cryptosense.services.cache import Cache, Cached, Freshness, Outcome
from cryptosense.state.contracts import CacheKey, EntryKind, StateSet
from tests.services.caching import FRESH, KEY, Upstream, turns
from tests.services.conftest import Wire


async def test_cache_1_what_was_stored_is_found_under_the_key_it_was_stored_under(
    cache: Cache, other: Cache, upstream: Upstream
) -> None:
    assert (await cache.cached(KEY, upstream, FRESH)).outcome is Outcome.MISS
    for instance in (cache, other):
        answer = await instance.cached(KEY, upstream, FRESH)
        assert (answer.outcome, answer.value()) == (Outcome.HIT, {"price": 1})
        found = await instance.get(KEY)
        assert found is not None
        assert found.value() == {"price": 1}
    assert await cache.invalidate(KEY) == 1
    assert await other.get(KEY) is None
    assert upstream.calls == 1


async def test_cache_2_a_hundred_cold_callers_on_two_instances_make_one_fetch_and_few_commands(
    cache: Cache, other: Cache, upstream: Upstream, wire: Wire
) -> None:
    upstream.held = asyncio.Event()
    callers = [asyncio.create_task(c.cached(KEY, upstream, FRESH)) for c in (cache, other) * 50]
    await turns()
    upstream.held.set()
    answers = await asyncio.gather(*callers)
    assert upstream.calls == 1
    assert all(answer.value() == {"price": 1} and answer.outcome is Outcome.MISS for answer in answers)
    assert sum(wire.calls.values()) <= 10


async def test_cache_2_callers_who_come_one_by_one_during_a_fetch_join_it(
    cache: Cache, upstream: Upstream, wire: Wire
) -> None:
    upstream.held = asyncio.Event()
    callers = []
    for _ in range(50):
        callers.append(asyncio.create_task(cache.cached(KEY, upstream, FRESH)))
        await turns(3)
    upstream.held.set()
    await asyncio.gather(*callers)
    assert upstream.calls == 1
    assert sum(wire.calls.values()) <= 4


async def test_cache_2_one_fetch_per_expiry_and_never_before_it(
    cache: Cache, other: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    await cache.cached(KEY, upstream, FRESH)
    for _ in range(29):
        clock.advance(1)
        assert (await other.cached(KEY, upstream, FRESH)).outcome is Outcome.HIT
    assert upstream.calls == 1  # jitter lengthens, it never shortens
    clock.advance(4)
    assert (await other.cached(KEY, upstream, FRESH)).outcome is Outcome.MISS
    assert upstream.calls == 2


async def test_cache_2_a_dead_fetchers_lease_runs_out_and_another_instance_takes_over(
    cache: Cache, other: Cache, upstream: Upstream, clock: ManualClock, state: StateSet
) -> None:
    _, dead = await state.cache.read_or_lease(KEY, fence="deadbeef", lease_ms=3_500)
    assert dead is not None
    waiting = asyncio.create_task(other.cached(KEY, upstream, FRESH))
    await turns()
    assert upstream.calls == 0
    clock.advance(3.499)
    await turns()
    assert upstream.calls == 0
    clock.advance(0.002)
    assert (await waiting).value() == {"price": 1}
    assert await state.cache.store(dead, EntryKind.VALUE, b"late", fresh_ms=1000, stale_ms=0) is None
    assert (await other.cached(KEY, upstream, FRESH)).value() == {"price": 1}


async def test_cache_2_the_lease_outlives_the_longest_fetch(cache: Cache, upstream: Upstream, wire: Wire) -> None:
    leases: list[int] = []
    inner = wire._inner.read_or_lease

    async def spied(key: CacheKey, **named: Any) -> Any:
        leases.append(named["lease_ms"])
        return await inner(key, **named)

    wire._inner.read_or_lease = spied
    await cache.cached(KEY, upstream, FRESH)
    assert leases
    assert all(lease > FRESH.fetch_timeout_ms for lease in leases)


async def test_cache_2_a_waiter_that_waits_in_vain_falls_back_to_a_bounded_fetch(
    cache: Cache, upstream: Upstream, state: StateSet, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await state.cache.read_or_lease(KEY, fence="deadbeef", lease_ms=3_600_000)

    async def wait(key: CacheKey, *, timeout_ms: int) -> None:
        clock.advance(timeout_ms / 1000)

    monkeypatch.setattr(state.cache, "wait", wait)
    answer = await cache.cached(KEY, upstream, FRESH)
    assert (answer.outcome, answer.value()) == (Outcome.BYPASS, {"price": 1})


async def test_cache_2_a_caller_that_goes_away_does_not_end_the_fetch_of_the_others(
    cache: Cache, upstream: Upstream
) -> None:
    upstream.held = asyncio.Event()
    first = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    second = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    first.cancel()
    await turns()
    upstream.held.set()
    assert (await second).value() == {"price": 1}
    assert upstream.calls == 1


async def test_a_hit_is_sent_as_the_stored_bytes_and_confirmed_without_moving_them(
    cache: Cache, other: Cache, upstream: Upstream, wire: Wire
) -> None:
    upstream.value = {"rows": [{"id": f"coin-{number}", "price": number} for number in range(2000)]}
    stored = await cache.cached(KEY, upstream, FRESH)
    assert stored.encoding == "gzip"
    assert orjson.loads(gzip.decompress(stored.body)) == upstream.value == stored.value()
    moved: list[int] = []
    inner = wire._inner.read

    async def spied(*arguments: Any, **named: Any) -> Any:
        reply = await inner(*arguments, **named)
        moved.append(len(getattr(reply, "body", b"")))
        return reply

    wire._inner.read = spied
    for _ in range(3):
        hit = await cache.cached(KEY, upstream, FRESH)
        assert hit.body is stored.body
    assert moved == [0, 0, 0]
    assert (await other.cached(KEY, upstream, FRESH)).body == stored.body


async def test_values_are_the_callers_own(cache: Cache, upstream: Upstream) -> None:
    upstream.value = {"rows": [1, 2]}
    tags = ["b", "a"]
    first = await cache.cached(KEY, upstream, FRESH, tags=tags)
    first.value()["rows"].append(3)
    assert (await cache.cached(KEY, upstream, FRESH, tags=tags)).value() == {"rows": [1, 2]}
    assert tags == ["b", "a"]


async def test_a_trusted_copy_is_served_without_a_question_for_its_short_time(
    cache: Cache, upstream: Upstream, wire: Wire, clock: ManualClock
) -> None:
    trusting = Freshness(fresh_ms=30_000, trust_ms=500)
    await cache.cached(KEY, upstream, trusting)
    asked = sum(wire.calls.values())
    assert (await cache.cached(KEY, upstream, trusting)).outcome is Outcome.HIT
    assert sum(wire.calls.values()) == asked
    clock.advance(0.6)
    await cache.cached(KEY, upstream, trusting)
    assert sum(wire.calls.values()) == asked + 1


async def test_copies_are_bounded(build: Callable[..., Cache], upstream: Upstream) -> None:
    cache = build(local_bytes=4_000)
    upstream.value = "x" * 900
    for number in range(50):
        await cache.cached(CacheKey("space", str(number)), upstream, FRESH)
    assert cache._copies.size <= 4_000
    assert (await cache.cached(CacheKey("space", "0"), upstream, FRESH)).outcome is Outcome.HIT
    assert upstream.calls == 50


async def test_strange_keys_are_keys_like_any_other(cache: Cache, upstream: Upstream) -> None:
    names = ["*", "a*", "a?", "[a]", "a:b", "a{b}c", "\x00\n", "a" * 5000, "ключ", ""]
    for name in names:
        upstream.value = name
        await cache.cached(CacheKey("space", name), upstream, FRESH)
    await cache.invalidate(CacheKey("space", "*"))
    upstream.value = "again"
    answers = [await cache.cached(CacheKey("space", name), upstream, FRESH) for name in names]
    assert [answer.value() for answer in answers] == ["again", *names[1:]]


async def test_closing_ends_fetches_and_gives_leases_back(
    cache: Cache, other: Cache, upstream: Upstream, wire: Wire
) -> None:
    upstream.held = asyncio.Event()
    caller = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    await cache.aclose()
    with pytest.raises(asyncio.CancelledError):
        await caller
    upstream.held = None
    assert (await other.cached(KEY, upstream, FRESH)).outcome is Outcome.MISS


async def test_outcomes_are_counted_by_kind_of_key(cache: Cache, upstream: Upstream) -> None:
    answers: list[Cached] = [await cache.cached(CacheKey("portfolios:u1", "list"), upstream, FRESH) for _ in range(3)]
    assert [answer.outcome for answer in answers] == [Outcome.MISS, Outcome.HIT, Outcome.HIT]
    assert cache.counts == {("portfolios", "miss"): 1, ("portfolios", "hit"): 2}
