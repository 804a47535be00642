"""The services on a real server: what only a wire can show."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis.asyncio

from cryptosense.clock import SystemClock
from cryptosense.errors import StateUnavailable
from cryptosense.services.breaker import Breaker
from cryptosense.services.cache import Cache, Freshness, Outcome
from cryptosense.services.csrf import CsrfTokens
from cryptosense.services.insurance import Insurance
from cryptosense.services.policy import Policy
from cryptosense.services.rate_limit import RateLimiter, Source
from cryptosense.state.catalog import OpenState, open_redis
from cryptosense.state.contracts import CacheKey
from cryptosense.state.deadline import Budget, current_budget, deadline
from cryptosense.workbench.topology.servers import Server, start_standalone

KEY = CacheKey("market", "bitcoin,solana")
FRESH = Freshness(fresh_ms=30_000, stale_ms=60_000, negative_ms=2_000)
BOOKKEEPING = ("hello", "client", "script", "config", "info", "ping", "auth", "select", "cluster")


def address(server: Server) -> SimpleNamespace:
    absent = dict.fromkeys(
        ("service", "username", "password", "tls_ca", "tls_cert", "tls_key", "sentinel_username", "sentinel_password")
    )
    return SimpleNamespace(kind="standalone", nodes=(("127.0.0.1", server.port),), db=0, tls=False, **absent)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with await start_standalone(tmp_path) as server:
        yield server


@pytest.fixture
async def instances(server: Server) -> AsyncIterator[list[OpenState]]:
    """Two, each with a client of its own and a budget that outlasts a busy machine's stalls."""
    opened = [open_redis(address(server), budget_ms=5_000) for _ in range(2)]
    for each in opened:
        assert await each.wait_ready(10)
    yield opened
    for each in opened:
        await each.close()


async def test_cache_2_a_stampede_on_two_instances_is_one_fetch_and_few_commands(
    server: Server, instances: list[OpenState]
) -> None:
    fetches = 0

    async def fetch() -> object:
        nonlocal fetches
        fetches += 1
        await asyncio.sleep(0.2)
        return {"tokens": [{"id": "bitcoin"}]}

    caches = [Cache(each.state.cache, SystemClock()) for each in instances]
    async with redis.asyncio.Redis(port=server.port) as client:
        await client.config_resetstat()
        answers = await asyncio.gather(*(cache.cached(KEY, fetch, FRESH) for cache in caches * 50))
        spent = await client.info("commandstats")
    assert fetches == 1
    assert {answer.body for answer in answers} == {b'{"tokens":[{"id":"bitcoin"}]}'}
    commands = {name.removeprefix("cmdstat_"): figures["calls"] for name, figures in spent.items()}
    working = {name: calls for name, calls in commands.items() if not name.startswith(BOOKKEEPING)}
    assert sum(working.values()) <= 60, working  # what scripts call inside is counted too
    for cache in caches:
        assert (await cache.cached(KEY, fetch, FRESH)).outcome is Outcome.HIT
        await cache.aclose()


async def test_cache_4_no_instance_serves_a_value_from_before_an_invalidation(instances: list[OpenState]) -> None:
    caches = [Cache(each.state.cache, SystemClock()) for each in instances]
    stored, confirmed = 0, 0

    async def fetch() -> object:
        seen = stored
        await asyncio.sleep(0.003)
        return seen

    async def change() -> None:
        nonlocal stored, confirmed
        for number in range(30):
            stored = number + 1
            await caches[number % 2].invalidate_tags("market", ["bitcoin"])
            confirmed = stored
            await asyncio.sleep(0.002)

    async def read(cache: Cache) -> None:
        for _ in range(60):
            at_least = confirmed
            assert (await cache.cached(KEY, fetch, FRESH, tags=["bitcoin"])).value() >= at_least

    await asyncio.gather(change(), *(read(cache) for cache in caches * 4))
    for cache in caches:
        assert (await cache.cached(KEY, fetch, FRESH, tags=["bitcoin"])).value() == 30
        await cache.aclose()


async def test_rate_7_an_outage_is_insured_seen_and_handed_back(server: Server, instances: list[OpenState]) -> None:
    clock = SystemClock()
    changes: list[bool] = []
    breaker = Breaker(clock, on_change=changes.append)
    windows = instances[0].state.windows
    limiter = RateLimiter(windows, [Policy("api", 100, 900_000)], Insurance(clock), breaker, clock, instances=3)
    cache = Cache(instances[0].state.cache, clock, breaker=breaker)
    watching = asyncio.create_task(breaker.watch(limiter.probe))

    async def fetch() -> object:
        return "fetched"

    assert (await limiter.decide("api", "ip:a")).source is Source.STATE
    assert (await cache.cached(KEY, fetch, FRESH)).outcome is Outcome.MISS
    await server.kill()
    decisions = [await limiter.decide("api", "ip:a") for _ in range(100)]
    assert sum(decision.admitted for decision in decisions) <= 33 + 99
    assert sum(decision.admitted for decision in decisions if decision.source is Source.INSURANCE) == 33
    assert decisions[-1].source is Source.INSURANCE
    assert breaker.is_open
    assert (await cache.cached(KEY, fetch, FRESH)).outcome is Outcome.BYPASS
    with pytest.raises(StateUnavailable):
        await CsrfTokens(instances[0].state.csrf).validate("s", "0" * 64)
    await server.restart()
    async with asyncio.timeout(30):
        while breaker.is_open:  # noqa: ASYNC110 (what is waited for is another task's work over the network)
            await asyncio.sleep(0.02)
    assert (await limiter.decide("api", "ip:a")).source is Source.STATE
    assert (await cache.cached(KEY, fetch, FRESH)).outcome in (Outcome.MISS, Outcome.HIT)
    assert changes == [True, False]
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await cache.aclose()


async def test_rate_7_a_frozen_server_costs_one_budget_and_not_a_hanging_request(
    server: Server, instances: list[OpenState]
) -> None:
    clock = SystemClock()
    windows = instances[0].state.windows
    left = lambda: (current_budget() or Budget(0)).left() * 1000  # noqa: E731 (as the wiring does it)
    limiter = RateLimiter(
        windows, [Policy("api", 100, 900_000)], Insurance(clock), Breaker(clock), clock, budget_left_ms=left
    )
    cache = Cache(instances[0].state.cache, clock)

    async def fetch() -> object:
        return "fetched"

    await limiter.decide("api", "ip:a")
    server.freeze()
    try:
        async with asyncio.timeout(5):  # the plan's code hung for up to 8.2 s; the budget is 0.25 s
            with deadline(250) as budget:
                decision = await limiter.decide("api", "ip:a")
                answer = await cache.cached(KEY, fetch, FRESH)
        assert budget.left() <= 0
    finally:
        server.thaw()
    assert decision.source is Source.INSURANCE
    assert answer.outcome is Outcome.BYPASS
    async with asyncio.timeout(30):
        while (await limiter.decide("api", "ip:b")).source is not Source.STATE:  # noqa: ASYNC110 (each look is a call)
            await asyncio.sleep(0.05)
    remaining = [(await limiter.decide("api", "ip:c")).remaining for _ in range(3)]
    assert remaining == [99, 98, 97]  # replies are not off by one after the calls that were given up
    await cache.aclose()
