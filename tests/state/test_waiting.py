"""Waiting for another instance's fetch: a hint that may be lost, and never a wait that does not end."""

import asyncio
import time
from contextlib import suppress

from cryptosense.state.catalog import open_redis
from cryptosense.state.contracts import CacheKey, EntryKind
from cryptosense.state.redis.wakeups import Wakeups

KEY = CacheKey("space", "waited")
LONG_MS = 60_000


async def subscribed(server, count: int) -> None:
    async with asyncio.timeout(10), server.client() as client:
        while len(await client.pubsub_channels("*")) != count:  # noqa: ASYNC110 - a server sets no event
            await asyncio.sleep(0.01)


async def subscribed_at_any(servers, count: int) -> None:
    """As `subscribed`, with the channels of all servers taken together."""
    async with asyncio.timeout(10):
        while sum([len(await one.command("PUBSUB", "CHANNELS", "*")) for one in servers]) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_many_who_wait_share_one_subscription_that_ends_with_them(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        cache = opened.state.cache
        _, lease = await cache.read_or_lease(KEY, fence="fence", lease_ms=LONG_MS)
        waiting = [asyncio.create_task(cache.wait(KEY, timeout_ms=LONG_MS)) for _ in range(20)]
        await subscribed(server, 1)
        clients = await server.command("CLIENT", "LIST")
        assert clients.count("name=cryptosense ") == 2, "one for calls, one for subscriptions"
        await cache.store(lease, EntryKind.VALUE, b"x", fresh_ms=LONG_MS, stale_ms=0)
        async with asyncio.timeout(10):
            await asyncio.gather(*waiting)
        await subscribed(server, 0)


async def test_a_cancelled_wait_leaves_no_subscription(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        await opened.state.cache.read_or_lease(KEY, fence="fence", lease_ms=LONG_MS)
        waiting = asyncio.create_task(opened.state.cache.wait(KEY, timeout_ms=LONG_MS))
        await subscribed(server, 1)
        waiting.cancel()
        await subscribed(server, 0)


async def test_a_lost_subscription_wakes_who_waits_and_the_next_wait_subscribes_anew(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        await opened.state.cache.read_or_lease(KEY, fence="fence", lease_ms=LONG_MS)
        waiting = asyncio.create_task(opened.state.cache.wait(KEY, timeout_ms=LONG_MS))
        await subscribed(server, 1)
        await server.command("CLIENT", "KILL", "TYPE", "pubsub")
        async with asyncio.timeout(10):
            await waiting
        again = asyncio.create_task(opened.state.cache.wait(KEY, timeout_ms=LONG_MS))
        await subscribed(server, 1)
        again.cancel()


async def test_without_redis_a_wait_ends_soon(tools):
    opened = open_redis(tools.Address((("127.0.0.1", 1),)))
    started = time.monotonic()
    await opened.state.cache.wait(KEY, timeout_ms=LONG_MS)
    assert time.monotonic() - started < 5
    await opened.close()


async def test_a_subscription_to_a_frozen_server_is_given_up_and_made_anew(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        await opened.state.cache.read_or_lease(KEY, fence="fence", lease_ms=LONG_MS)
        first = asyncio.create_task(opened.state.cache.wait(KEY, timeout_ms=LONG_MS))
        await subscribed(server, 1)
        server.freeze()
        async with asyncio.timeout(10):
            await opened.state.cache.wait(CacheKey("space", "other"), timeout_ms=LONG_MS)
            await first
        server.thaw()
        again = asyncio.create_task(opened.state.cache.wait(KEY, timeout_ms=LONG_MS))
        await subscribed(server, 1)
        again.cancel()


async def test_a_dead_fetchers_lease_ends_the_wait(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        await opened.state.cache.read_or_lease(KEY, fence="fence", lease_ms=200)
        async with asyncio.timeout(10):
            await opened.state.cache.wait(KEY, timeout_ms=LONG_MS)
        _, lease = await opened.state.cache.read_or_lease(KEY, fence="next", lease_ms=LONG_MS)
        assert lease is not None, "whoever waited may fetch"


async def test_a_wait_on_one_shard_hears_what_is_stored_on_another(tools, cluster):
    nodes = tuple(("127.0.0.1", server.port) for server in cluster.servers)
    async with tools.opened(tools.Address(nodes, kind="cluster")) as opened:
        cache = opened.state.cache
        for number in range(6):
            key = CacheKey(f"waiting-{number}", "name")
            _, lease = await cache.read_or_lease(key, fence="fence", lease_ms=LONG_MS)
            waiting = asyncio.create_task(cache.wait(key, timeout_ms=LONG_MS))
            await subscribed_at_any(cluster.servers, 1)
            await cache.store(lease, EntryKind.VALUE, b"x", fresh_ms=LONG_MS, stale_ms=0)
            async with asyncio.timeout(10):
                await waiting
            await subscribed_at_any(cluster.servers, 0)


class Swallowing:
    """A connection whose driver takes a cancellation for a message."""

    def __init__(self):
        self.disconnected = False

    async def send_packed_command(self, command, check_health):
        assert command.startswith(b"*2")

    async def read_response(self, **_):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return [b"message", b"space", b""]

    async def disconnect(self, nowait):
        self.disconnected = nowait


async def test_closing_ends_a_subscription_whose_driver_swallows_the_cancellation():
    connection = Swallowing()

    async def opening():
        return connection

    wakeups = Wakeups(opening)
    async with wakeups.listening("space", timeout=0.05) as ended:
        assert ended.is_set(), "nobody confirmed it"
    async with asyncio.timeout(5):
        await wakeups.close()
    assert connection.disconnected
