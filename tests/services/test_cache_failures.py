"""The cache while the upstream fails, the state is away, or an entry does not parse."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from cryptosense.clock import ManualClock
from cryptosense.errors import StateCorrupt, StateUnavailable, UpstreamThrottled, UpstreamUnavailable
from cryptosense.services.breaker import Breaker
from cryptosense.services.cache import Cache, Freshness, Outcome
from cryptosense.state.contracts import CacheKey, EntryKind, StateSet
from tests.services.caching import BRIEF, FRESH, KEY, Upstream, turns
from tests.services.conftest import Wire


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


async def test_without_a_negative_age_a_stale_value_bridges_the_failure_and_the_next_call_tries_again(
    cache: Cache, upstream: Upstream, clock: ManualClock
) -> None:
    kept = Freshness(30_000, stale_ms=60_000, jitter=0)
    await cache.cached(KEY, upstream, kept)
    upstream.error = UpstreamUnavailable("down")
    clock.advance(31)
    for calls in (2, 3):
        assert (await cache.cached(KEY, upstream, kept)).outcome is Outcome.STALE
        assert upstream.calls == calls


async def test_a_waiter_that_waits_in_vain_serves_the_last_good_value_if_there_is_one(
    cache: Cache, upstream: Upstream, state: StateSet, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cache.cached(KEY, upstream, FRESH)
    clock.advance(40)
    _, lease = await state.cache.read_or_lease(KEY, fence="deadbeef", lease_ms=3_600_000)
    assert lease is not None

    async def wait(key: CacheKey, *, timeout_ms: int) -> None:
        clock.advance(timeout_ms / 1000)

    monkeypatch.setattr(state.cache, "wait", wait)
    answer = await cache.cached(KEY, upstream, FRESH)
    assert (answer.outcome, answer.value(), upstream.calls) == (Outcome.STALE, {"price": 1}, 1)


async def test_cache_7_a_state_that_goes_away_during_a_wait_is_a_bypass(
    cache: Cache, upstream: Upstream, state: StateSet, wire: Wire
) -> None:
    _, lease = await state.cache.read_or_lease(KEY, fence="deadbeef", lease_ms=3_600_000)
    assert lease is not None
    waiting = asyncio.create_task(cache.cached(KEY, upstream, FRESH))
    await turns()
    wire.down = StateUnavailable("went down during the wait")
    await state.cache.release(lease)
    assert (await waiting).outcome is Outcome.BYPASS


@pytest.mark.parametrize("stale", [True, False])
async def test_state_and_upstream_that_fail_one_after_the_other_still_give_an_answer(
    cache: Cache, upstream: Upstream, wire: Wire, clock: ManualClock, stale: bool
) -> None:
    if stale:
        await cache.cached(KEY, upstream, FRESH)
        clock.advance(40)

    async def fail_stores(name: str) -> None:
        if name == "store":
            raise StateUnavailable("went down during the fetch")

    wire.before = fail_stores
    upstream.error = UpstreamUnavailable("down")
    answer = await cache.cached(KEY, upstream, FRESH)
    assert answer.outcome is (Outcome.STALE if stale else Outcome.MISS)
    assert answer.kind is (EntryKind.VALUE if stale else EntryKind.NEGATIVE)


async def test_a_lease_that_cannot_be_given_back_does_not_hide_the_failure(
    cache: Cache, upstream: Upstream, wire: Wire
) -> None:
    async def fail_releases(name: str) -> None:
        if name == "release":
            raise StateUnavailable("down")

    wire.before = fail_releases
    upstream.error = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        await cache.cached(KEY, upstream, BRIEF)


async def test_cache_7_with_everything_down_and_nothing_kept_the_failure_reaches_the_caller(
    cache: Cache, upstream: Upstream, wire: Wire
) -> None:
    wire.down = StateUnavailable("down")
    upstream.error = UpstreamUnavailable("down too")
    with pytest.raises(UpstreamUnavailable):
        await cache.cached(KEY, upstream, BRIEF)
