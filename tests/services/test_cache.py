"""The cache at the level of the service: two instances on one state, a fetch that the test controls."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from cryptosense.clock import ManualClock
from cryptosense.errors import StateCorrupt, StateUnavailable, UpstreamThrottled, UpstreamUnavailable
from cryptosense.services.breaker import Breaker
from cryptosense.services.cache import Cache, Cached, Freshness, Outcome
from cryptosense.state.contracts import CacheKey, EntryKind, StateSet
from tests.services.conftest import Wire

KEY = CacheKey("space", "name")
FRESH = Freshness(fresh_ms=30_000, stale_ms=60_000, negative_ms=2_000, fetch_timeout_ms=2_000)
BRIEF = Freshness(fresh_ms=30_000, jitter=0)


class Upstream:
    """Answers what it is told, when it is told; counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.value: object = {"price": 1}
        self.error: Exception | None = None
        self.held: asyncio.Event | None = None
        self.most_at_once = 0
        self._now = 0

    async def __call__(self) -> object:
        self.calls += 1
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        value = self.value  # read when the fetch begins, as a database or a provider does
        try:
            if self.held is not None:
                await self.held.wait()
        finally:
            self._now -= 1
        if self.error is not None:
            raise self.error
        return value


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def wire(state: StateSet) -> Wire:
    return Wire(state.cache)


@pytest.fixture
async def build(wire: Wire, clock: ManualClock) -> AsyncIterator[Callable[..., Cache]]:
    built: list[Cache] = []

    def build_one(**more: Any) -> Cache:
        built.append(Cache(wire, clock, **more))
        return built[-1]

    yield build_one
    for cache in built:
        await cache.aclose()


@pytest.fixture
def cache(build: Callable[..., Cache]) -> Cache:
    return build()


@pytest.fixture
def other(build: Callable[..., Cache]) -> Cache:
    """Another instance on the same state."""
    return build()


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


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


async def test_cache_3_a_cached_null_is_a_hit(cache: Cache, other: Cache, upstream: Upstream) -> None:
    upstream.value = None
    first = await cache.cached(KEY, upstream, FRESH)
    second = await other.cached(KEY, upstream, FRESH)
    assert (first.outcome, first.kind) == (Outcome.MISS, EntryKind.NULL)
    assert (second.outcome, second.kind, second.value()) == (Outcome.HIT, EntryKind.NULL, None)
    assert upstream.calls == 1


async def test_cache_3_a_failed_fetch_is_not_tried_again_by_everyone(
    cache: Cache, other: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    upstream.error = UpstreamUnavailable("500")
    first = await cache.cached(KEY, upstream, FRESH)
    assert (first.outcome, first.kind, first.body) == (Outcome.MISS, EntryKind.NEGATIVE, b"")
    for _ in range(10):
        answer = await other.cached(KEY, upstream, FRESH)
        assert (answer.outcome, answer.kind, answer.retry_after_s) == (Outcome.NEGATIVE, EntryKind.NEGATIVE, 2)
    with pytest.raises(UpstreamUnavailable):
        answer.required()
    assert upstream.calls == 1
    upstream.error = None
    clock.advance(2.1)
    assert (await other.cached(KEY, upstream, FRESH)).outcome is Outcome.MISS


async def test_cache_3_the_last_good_value_is_served_while_the_upstream_is_down_and_until_its_hard_expiry(
    cache: Cache, other: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    await cache.cached(KEY, upstream, Freshness(30_000, 60_000, 2_000, jitter=0))
    upstream.error = UpstreamUnavailable("down")
    upstream.value = {"price": 2}
    clock.advance(30.5)
    outcomes: list[tuple[Outcome, Any]] = []
    for _ in range(70):
        for instance in (cache, other):
            answer = await instance.cached(KEY, upstream, Freshness(30_000, 60_000, 2_000, jitter=0))
            outcomes.append((answer.outcome, None if answer.kind is EntryKind.NEGATIVE else answer.value()["price"]))
        clock.advance(1)
    stale = outcomes.index((Outcome.MISS, None))  # the first that has nothing left to serve
    assert set(outcomes[:stale]) == {(Outcome.STALE, 1)}
    assert 2 * 57 <= stale <= 2 * 61  # 60 s, counted over thirty failures in between
    assert {value for _, value in outcomes[stale:]} == {None}
    assert upstream.calls <= 1 + 70 / 2 + 1
    upstream.error = None
    clock.advance(2)
    assert (await cache.cached(KEY, upstream, FRESH)).value() == {"price": 2}


async def test_cache_3_the_time_before_the_first_failure_counts_towards_the_hard_expiry(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    exact = Freshness(30_000, 60_000, 2_000, jitter=0)
    await cache.cached(KEY, upstream, exact)
    upstream.error = UpstreamUnavailable("down")
    clock.advance(80)
    assert (await cache.cached(KEY, upstream, exact)).outcome is Outcome.STALE
    clock.advance(9)
    assert (await cache.cached(KEY, upstream, exact)).outcome is Outcome.STALE
    clock.advance(2)
    assert (await cache.cached(KEY, upstream, exact)).kind is EntryKind.NEGATIVE


async def test_cache_3_a_stale_value_comes_back_as_it_was_compressed_bytes_and_null(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    for name, value in (("long", {"text": "x" * 5000}), ("null", None)):
        key = CacheKey("space", name)
        upstream.value, upstream.error = value, None
        good = await cache.cached(key, upstream, FRESH)
        upstream.error = UpstreamUnavailable("down")
        clock.advance(40)
        for _ in range(2):
            kept = await cache.cached(key, upstream, FRESH)
            assert (kept.outcome, kept.kind, kept.body, kept.encoding) == (
                Outcome.STALE, good.kind, good.body, good.encoding,
            )  # fmt: skip


async def test_cache_3_a_provider_that_asks_for_a_pause_gets_it(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    upstream.error = UpstreamThrottled("quota", retry_after=20)
    await cache.cached(KEY, upstream, FRESH)
    clock.advance(19)
    assert (await cache.cached(KEY, upstream, FRESH)).outcome is Outcome.NEGATIVE
    assert upstream.calls == 1


async def test_a_fetch_that_takes_too_long_is_a_failed_one(cache: Cache, upstream: Upstream) -> None:
    upstream.held = asyncio.Event()
    answer = await cache.cached(KEY, upstream, Freshness(30_000, negative_ms=1000, fetch_timeout_ms=30))
    assert answer.kind is EntryKind.NEGATIVE


@pytest.mark.parametrize("error", [UpstreamUnavailable("down"), ZeroDivisionError("a bug")])
async def test_without_a_negative_age_the_failure_reaches_every_caller_and_frees_the_lease(
    cache: Cache, other: Cache, upstream: Upstream, error: Exception
) -> None:
    upstream.error = error
    for instance in (cache, other):
        results = await asyncio.gather(
            *(instance.cached(KEY, upstream, BRIEF) for _ in range(3)), return_exceptions=True
        )
        assert {type(result) for result in results} == {type(error)}
    assert upstream.calls == 2
    upstream.error = None
    assert (await other.cached(KEY, upstream, BRIEF)).value() == {"price": 1}


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


@pytest.mark.parametrize(
    "written",
    [(b"not json", "identity"), (b"\x1f\x8bbroken", "gzip"), (b"plain", "gzip"), (b"", "identity")],
)
async def test_cache_6_an_entry_that_does_not_parse_is_a_logged_miss(
    cache: Cache, upstream: Upstream, state: StateSet, written: tuple[bytes, Any], caplog: pytest.LogCaptureFixture
) -> None:
    body, encoding = written
    _, lease = await state.cache.read_or_lease(KEY, fence="deadbeef", lease_ms=1000)
    assert lease is not None
    await state.cache.store(lease, EntryKind.VALUE, body, encoding=encoding, fresh_ms=60_000, stale_ms=0)
    with caplog.at_level(logging.WARNING):
        answer = await cache.cached(KEY, upstream, FRESH)
    assert (answer.outcome, answer.value()) == (Outcome.MISS, {"price": 1})
    assert any(getattr(record, "event", "") == "cache_corrupt" for record in caplog.records)
    assert (await cache.cached(KEY, upstream, FRESH)).outcome is Outcome.HIT


async def test_cache_6_a_negative_entry_that_does_not_parse_is_a_miss_too(
    cache: Cache, upstream: Upstream, state: StateSet
) -> None:
    _, lease = await state.cache.read_or_lease(KEY, fence="deadbeef", lease_ms=1000)
    assert lease is not None
    await state.cache.store(lease, EntryKind.NEGATIVE, b"oops", fresh_ms=60_000, stale_ms=0)
    assert (await cache.cached(KEY, upstream, FRESH)).outcome is Outcome.MISS


async def test_cache_6_a_key_that_stays_foreign_is_passed_by_and_does_not_open_the_breaker(
    build: Callable[..., Cache], wire: Wire, upstream: Upstream, breaker: Breaker
) -> None:
    cache = build(breaker=breaker)
    wire.down = StateCorrupt("wrong type", key="cs:k")
    for _ in range(10):
        assert (await cache.cached(KEY, upstream, FRESH)).outcome is Outcome.BYPASS
    assert not breaker.is_open


async def test_cache_7_an_outage_is_a_bypass_and_not_a_miss(
    build: Callable[..., Cache], wire: Wire, upstream: Upstream, breaker: Breaker, clock: ManualClock
) -> None:
    cache = build(breaker=breaker)
    await cache.cached(KEY, upstream, FRESH)
    wire.down = StateUnavailable("down")
    before = sum(wire.calls.values())
    for _ in range(20):
        assert (await cache.cached(KEY, upstream, FRESH)).outcome is Outcome.BYPASS
    assert sum(wire.calls.values()) - before == 3  # then the breaker is open
    wire.down = None
    clock.advance(1)
    assert (await cache.cached(KEY, upstream, FRESH)).outcome is Outcome.HIT
    assert not breaker.is_open


async def test_cache_7_upstream_concurrency_is_capped_while_the_state_is_down(
    build: Callable[..., Cache], wire: Wire, upstream: Upstream
) -> None:
    cache = build(upstream_concurrency=3)
    wire.down = StateUnavailable("down")
    upstream.held = asyncio.Event()
    callers = [
        asyncio.create_task(cache.cached(CacheKey("space", str(number % 20)), upstream, FRESH)) for number in range(200)
    ]
    await turns(50)
    assert upstream.calls == 3
    upstream.held.set()
    answers = await asyncio.gather(*callers)
    assert upstream.most_at_once == 3
    assert upstream.calls <= 40  # callers of one key share
    assert {answer.outcome for answer in answers} == {Outcome.BYPASS}


async def test_cache_7_a_bypass_never_serves_what_was_read_before_the_caller_asked(
    cache: Cache, wire: Wire, upstream: Upstream
) -> None:
    wire.down = StateUnavailable("down")
    upstream.held, upstream.value = asyncio.Event(), "old"
    early = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    upstream.value = "new"
    late = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    upstream.held.set()
    assert (await early).value() == "old"
    assert (await late).value() == "new"


async def test_cache_7_with_state_and_upstream_down_the_process_serves_its_copy_until_the_hard_expiry(
    cache: Cache, wire: Wire, upstream: Upstream, clock: ManualClock
) -> None:
    await cache.cached(KEY, upstream, FRESH)
    wire.down = StateUnavailable("down")
    upstream.error = UpstreamUnavailable("down too")
    clock.advance(60)
    assert (await cache.cached(KEY, upstream, FRESH)).outcome is Outcome.STALE
    clock.advance(60)
    answer = await cache.cached(KEY, upstream, FRESH)
    assert (answer.outcome, answer.kind) == (Outcome.BYPASS, EntryKind.NEGATIVE)


async def test_a_store_that_fails_does_not_cost_the_caller_its_value(
    cache: Cache, wire: Wire, upstream: Upstream
) -> None:
    async def fail_stores(name: str) -> None:
        if name == "store":
            raise StateUnavailable("went down during the fetch")

    wire.before = fail_stores
    assert (await cache.cached(KEY, upstream, FRESH)).value() == {"price": 1}


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
