"""The contract's promises about state, by their ids, where they need more than the conformance suite shows."""

import asyncio
import json
import re
import time
from importlib.resources import files

import pytest

from cryptosense.clock import ManualClock
from cryptosense.state.catalog import open_memory
from cryptosense.state.contracts import Algorithm, CacheKey, Entry, EntryKind, Lease, Quota, RotationOutcome
from cryptosense.state.redis.scripts import scripts

LONG_MS = 600_000
QUOTA = Quota(100, 900_000)


def decision(number: int) -> str:
    return f"decision{number:06d}"


def prefixed(monkey_name: str) -> str:
    """A prefix for one test, so that tests do not meet on the shared server."""
    return f"test-{re.sub(r'[^a-z0-9]', '-', monkey_name.lower())[:40]}:"


@pytest.fixture(params=["memory", "valkey"])
async def state(request, tools):
    if request.param == "memory":
        yield open_memory(ManualClock()).state
    else:
        server = request.getfixturevalue("valkey")
        async with tools.opened(tools.address_of(server), prefix=prefixed(request.node.name)) as opened:
            yield opened.state


@pytest.fixture
async def two_instances(request, tools, valkey):
    """Two processes' worth of state on one server."""
    prefix = prefixed(request.node.name)
    address = tools.address_of(valkey)
    async with tools.opened(address, prefix=prefix) as one, tools.opened(address, prefix=prefix) as other:
        yield one.state, other.state


async def stored(cache, key: CacheKey, body: bytes, *tags: str, fresh_ms: int = LONG_MS, kind=EntryKind.VALUE) -> str:
    _, lease = await cache.read_or_lease(key, fence=f"f{time.monotonic_ns()}", lease_ms=LONG_MS, tags=tags)
    assert lease is not None
    version = await cache.store(lease, kind, body, fresh_ms=fresh_ms, stale_ms=LONG_MS, tags=tags)
    assert version is not None
    return version


async def test_csrf_2_one_token_is_accepted_once_across_instances(two_instances):
    await two_instances[0].csrf.current("session", "token", ttl_ms=LONG_MS)
    answers = await asyncio.gather(
        *(
            two_instances[i % 2].csrf.compare_and_rotate("session", "token", f"next-{i}", ttl_ms=LONG_MS, grace_ms=0)
            for i in range(64)
        )
    )
    assert sum(answer.accepted for answer in answers) == 1


async def test_csrf_3_parallel_requests_and_tabs_converge_within_the_grace(state):
    await state.csrf.current("session", "first", ttl_ms=LONG_MS)
    first = await state.csrf.compare_and_rotate("session", "first", "second", ttl_ms=LONG_MS, grace_ms=5000)
    tab = await state.csrf.compare_and_rotate("session", "first", "other", ttl_ms=LONG_MS, grace_ms=5000)
    assert (first.outcome, tab.outcome) == (RotationOutcome.ROTATED, RotationOutcome.GRACE)
    assert tab.token == "second"
    await state.csrf.replace("session", "forced", ttl_ms=LONG_MS)
    late = await state.csrf.compare_and_rotate("session", "first", "x", ttl_ms=LONG_MS, grace_ms=5000)
    assert late.outcome is RotationOutcome.MISMATCH, "an explicit rotation ends the grace at once"


async def test_rate_1_exactly_the_limit_is_admitted_at_any_concurrency_across_instances(two_instances):
    answers = await asyncio.gather(
        *(two_instances[i % 2].windows.admit("client", QUOTA, decision(i)) for i in range(300))
    )
    assert sum(answer.admitted for answer in answers) == 100


async def test_rate_2_a_steady_overload_gets_the_full_limit_in_every_window(frozen_redis):
    quota = Quota(100, 130_000)
    async with frozen_redis() as subject:
        await subject.state.windows.forget("rate-2")
        per_window = [0, 0, 0, 0]
        for request in range(4 * 130):
            answer = await subject.state.windows.admit("rate-2", quota, decision(request))
            per_window[request // 130] += answer.admitted
            await subject.pass_time(1000)
    assert per_window == [100, 100, 100, 100]


async def test_rate_3_a_client_that_waits_as_told_is_admitted_and_not_before(frozen_redis):
    quota = Quota(3, 10_000)
    async with frozen_redis() as subject:
        await subject.state.windows.forget("rate-3")
        for number in range(3):
            await subject.state.windows.admit("rate-3", quota, decision(number))
            await subject.pass_time(700)
        denied = await subject.state.windows.admit("rate-3", quota, decision(9))
        assert denied.reset_ms == 10_000 - 2100, "until the first slot frees, not the whole window"
        await subject.pass_time(denied.reset_ms - 1)
        assert not (await subject.state.windows.admit("rate-3", quota, decision(10))).admitted
        await subject.pass_time(1)
        assert (await subject.state.windows.admit("rate-3", quota, decision(11))).admitted


async def test_rate_1_a_limit_of_thousands_is_as_exact_and_costs_no_more_as_its_log_grows(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        quota, admitted, costs = Quota(6000, 900_000), 0, []
        for start in range(0, 7000, 500):
            await server.command("CONFIG", "RESETSTAT")
            calls = (opened.state.windows.admit("crowd", quota, decision(start + n)) for n in range(500))
            admitted += sum(answer.admitted for answer in await asyncio.gather(*calls))
            stats = await server.info("commandstats")
            costs.append(float(stats["cmdstat_evalsha"].split("usec_per_call=")[1].split(",")[0]))
        assert admitted == 6000
        # Reading and writing the whole log would cost ten times as much at its end as at its beginning.
        assert sorted(costs[9:12])[1] < 5 * sorted(costs[:3])[1] + 20


@pytest.mark.parametrize("server", ["valkey", "redis7"])
async def test_rate_4_a_clients_bytes_are_bounded_by_the_limit_and_expire(server, request, tools):
    server = request.getfixturevalue(server)
    at_most = {Algorithm.LOG: 2100, Algorithm.COUNTER: 100, Algorithm.GCRA: 100}
    async with tools.opened(tools.address_of(server)) as opened, server.client() as client:
        await opened.state.windows.forget("user:123456")
        for algorithm in Algorithm:
            quota = Quota(100, 900_000, algorithm)
            key = f"cs:rate:{algorithm.value}:{{user:123456}}"
            for number in range(100):
                assert (await opened.state.windows.admit("user:123456", quota, decision(number))).admitted
            full = await client.memory_usage(key)
            assert full <= at_most[algorithm], f"{algorithm}: {full} bytes"
            for number in range(1000):
                assert not (await opened.state.windows.admit("user:123456", quota, decision(1000 + number))).admitted
            assert await client.memory_usage(key) == full, "a denied request leaves no trace"
            assert 0 < await client.pttl(key) <= 2 * quota.window_ms


async def test_rate_5_the_callers_clock_decides_nothing(two_instances, monkeypatch):
    ahead, behind = two_instances
    admitted = 0
    real = time.time
    for number in range(500):
        skew = 960 if number % 2 else -5
        monkeypatch.setattr(time, "time", lambda skew=skew: real() + skew)
        instance = ahead if number % 2 else behind
        admitted += (await instance.windows.admit("client", QUOTA, decision(number))).admitted
    assert admitted == 100
    deciding = [name for name in scripts() if name.startswith("admit_")]
    assert all(b"redis.call('TIME')" in scripts()[name].body for name in deciding)


async def test_rate_5_a_server_clock_that_is_set_back_lets_nobody_gain(frozen_redis):
    for algorithm in Algorithm:
        quota = Quota(5, 60_000, algorithm)
        async with frozen_redis() as subject:
            await subject.state.windows.forget("set-back")
            for number in range(5):
                await subject.state.windows.admit("set-back", quota, decision(number))
            await subject.pass_time(-2000)
            again = [await subject.state.windows.admit("set-back", quota, decision(10 + n)) for n in range(5)]
            assert not any(answer.admitted for answer in again), algorithm
            await subject.pass_time(-86_400_000)
            await subject.state.windows.forget("set-back")


async def test_cache_1_read_write_and_delete_mean_the_same_key(state):
    key = CacheKey("prices", "prices:bitcoin")
    version = await stored(state.cache, key, b"body")
    found = await state.cache.read(key)
    assert isinstance(found, Entry)
    assert (found.body, found.version) == (b"body", version)
    assert await state.cache.invalidate(key) == 1
    assert await state.cache.read(key) is None


async def test_cache_2_one_of_many_fetches_and_a_late_one_cannot_write(state):
    key = CacheKey("space", "cold")
    answers = await asyncio.gather(
        *(state.cache.read_or_lease(key, fence=f"fence-{i}", lease_ms=LONG_MS) for i in range(50))
    )
    (lease,) = [lease for _, lease in answers if lease is not None]
    stranger = Lease(key, "fence-of-nobody")
    assert await state.cache.store(stranger, EntryKind.VALUE, b"late", fresh_ms=LONG_MS, stale_ms=0) is None
    assert await state.cache.store(lease, EntryKind.VALUE, b"good", fresh_ms=LONG_MS, stale_ms=0) == lease.fence


async def test_cache_2_a_waiter_on_another_instance_is_woken_by_the_store(two_instances, valkey):
    one, other = two_instances
    key = CacheKey("space", "waited")
    _, lease = await one.cache.read_or_lease(key, fence="fence", lease_ms=LONG_MS)
    assert lease is not None
    waiting = asyncio.create_task(other.cache.wait(key, timeout_ms=LONG_MS))
    async with asyncio.timeout(10):
        while not await valkey.command("PUBSUB", "CHANNELS", f"{prefixed('test')[:4]}*"):  # noqa: ASYNC110 - a server
            await asyncio.sleep(0.01)
        await one.cache.store(lease, EntryKind.VALUE, b"body", fresh_ms=LONG_MS, stale_ms=0)
        await waiting
    found, _ = await other.cache.read_or_lease(key, fence="fence2", lease_ms=LONG_MS)
    assert found is not None
    assert found.body == b"body"


async def test_cache_3_a_cached_null_and_a_failed_fetch_are_entries_and_a_stale_one_survives(state):
    await stored(state.cache, CacheKey("space", "null"), b"", kind=EntryKind.NULL)
    await stored(state.cache, CacheKey("space", "failed"), b"", kind=EntryKind.NEGATIVE)
    await stored(state.cache, CacheKey("space", "stale"), b"last good value", fresh_ms=0)
    kinds = {}
    for name in ("null", "failed", "stale"):
        found = await state.cache.read(CacheKey("space", name))
        assert isinstance(found, Entry)
        kinds[name] = (found.kind, found.fresh_ms > 0)
    assert kinds == {
        "null": (EntryKind.NULL, True),
        "failed": (EntryKind.NEGATIVE, True),
        "stale": (EntryKind.VALUE, False),
    }


@pytest.mark.parametrize("way", ["key", "tag", "space"])
async def test_cache_4_what_was_fetched_before_an_invalidation_is_not_stored_after_it(way, state):
    key = CacheKey("space", f"raced-{way}")
    _, lease = await state.cache.read_or_lease(key, fence="fence", lease_ms=LONG_MS, tags=["bitcoin"])
    assert lease is not None
    if way == "key":
        await state.cache.invalidate(key)
    elif way == "tag":
        await state.cache.invalidate_tags("space", ["bitcoin"])
    else:
        await state.cache.invalidate_space("space")
    assert await state.cache.store(lease, EntryKind.VALUE, b"old", fresh_ms=LONG_MS, stale_ms=0) is None
    assert await state.cache.read(key) is None


async def test_cache_5_a_coin_drops_every_list_with_it_without_a_scan(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        cache = opened.state.cache
        for name, coins in (("b", ["bitcoin"]), ("bs", ["bitcoin", "solana"]), ("s", ["solana"])):
            await stored(cache, CacheKey("tokens", name), b"[]", *coins)
        await server.command("CONFIG", "RESETSTAT")
        assert await cache.invalidate_tags("tokens", ["bitcoin"]) == 2
        stats = await server.info("commandstats")
        assert not {"cmdstat_scan", "cmdstat_keys"} & stats.keys()
        assert await cache.read(CacheKey("tokens", "s")) is not None


async def test_cache_5_a_tag_does_not_grow_with_what_has_expired(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened, server.client() as client:
        for number in range(200):
            _, lease = await opened.state.cache.read_or_lease(
                CacheKey("tokens", f"list-{number}"), fence="f", lease_ms=1, tags=["bitcoin"]
            )
            assert lease is not None
        await asyncio.sleep(0.05)
        await stored(opened.state.cache, CacheKey("tokens", "last"), b"[]", "bitcoin")
        assert await client.zcard("cs:cache:{tokens}:t:bitcoin") == 1


@pytest.mark.parametrize(
    "garbage", [b"oops", b'{"json": true}', b"cs1:", b"cs1:Vi\xff", b"cs1:?i\x01f" + bytes(6), b""]
)
async def test_cache_6_an_entry_that_does_not_parse_is_a_logged_miss(garbage, tools, own_server, record):
    async with (
        own_server() as server,
        tools.opened(tools.address_of(server), observer=record) as opened,
        server.client() as client,
    ):
        name, key = "cs:cache:{space}:e:name", CacheKey("space", "name")
        await client.set(name, garbage, ex=60)
        assert await opened.state.cache.read(key) is None
        found, lease = await opened.state.cache.read_or_lease(key, fence="fence", lease_ms=LONG_MS)
        assert found is None
        if garbage:
            assert ("entry_unreadable", {"key": name}) in record.events
        if lease is not None:
            await opened.state.cache.store(lease, EntryKind.VALUE, b"good", fresh_ms=LONG_MS, stale_ms=0)
            repaired = await opened.state.cache.read(key)
            assert isinstance(repaired, Entry)
            assert repaired.body == b"good"


async def test_cache_6_a_wrong_type_at_a_cache_key_is_a_miss_that_the_next_store_repairs(tools, own_server, record):
    async with own_server() as server, tools.opened(tools.address_of(server), observer=record) as opened:
        await server.command("LPUSH", "cs:cache:{space}:e:name", "x")
        key = CacheKey("space", "name")
        assert await opened.state.cache.read(key) is None
        assert record.names()[-1] == "entry_unreadable"
        await stored(opened.state.cache, key, json.dumps([1]).encode())
        assert await opened.state.cache.read(key) is not None


async def test_data_1_every_key_carries_the_prefix_and_an_expiry(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server), prefix="mine:") as opened:
        state, user = opened.state, "u{*}ser:1 \n"
        await state.csrf.current(user, "token", ttl_ms=LONG_MS)
        for algorithm in Algorithm:
            await state.windows.admit(user, Quota(5, LONG_MS, algorithm), decision(1))
        await stored(state.cache, CacheKey(user, user), b"body", user)
        await state.cache.read_or_lease(CacheKey(user, "cold"), fence="f", lease_ms=LONG_MS, tags=[user])
        await state.cache.invalidate_space(user, "nothing")
        await state.leaders.lead(user, "holder", ttl_ms=LONG_MS)
        async with server.client() as client:
            keys = await client.keys("*")
            assert len(keys) == 9
            for key in keys:
                assert key.startswith("mine:")
                assert re.fullmatch(r"mine:[a-z:]+\{u%7B%2A%7Dser:1%20%0A\}[A-Za-z0-9:%]*", key), key
                assert await client.pttl(key) > 0, key


def test_data_1_nothing_in_the_product_flushes():
    room = files("cryptosense.state.redis")
    sources = [*(p for p in room.iterdir() if p.name.endswith(".py")), *room.joinpath("lua").iterdir()]
    assert len(sources) > 20
    for source in sources:
        assert not re.search(r"flush(db|all)", source.read_text(), re.IGNORECASE), source.name


async def test_orphans_are_swept_in_pipelined_batches_and_only_they(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened, server.client() as client:
        await asyncio.gather(*(opened.state.csrf.current(f"s{i}", "token", ttl_ms=LONG_MS) for i in range(300)))
        async with client.pipeline(transaction=False) as pipe:
            for number in range(700):
                pipe.set(f"cs:csrf:{{orphan-{number}}}", "=\x05token")
            pipe.set("somebody:else", "x")
            await pipe.execute()
        reads = int((await server.info("stats"))["total_reads_processed"])
        assert await opened.state.csrf.sweep_orphans() == 700
        assert int((await server.info("stats"))["total_reads_processed"]) - reads < 100, (
            "pipelines, not 1000 round trips"
        )
        assert await client.exists("somebody:else") == 1
        assert len([name async for name in opened.state.csrf.live()]) == 300
        assert await opened.state.csrf.sweep_orphans() == 0
