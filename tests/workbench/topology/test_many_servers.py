"""Sentinel and Cluster come up, fail over, and are gone afterwards."""

import asyncio

import pytest
from redis.exceptions import RedisError

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.topology.cluster import start_cluster
from cryptosense.workbench.topology.process import kill_together
from cryptosense.workbench.topology.sentinel import start_sentinel


async def new_primary(store, old):
    """The one that takes writes in place of `old`."""
    async with asyncio.timeout(30):
        while True:
            try:
                primary = await store.primary()
                if primary is not old:
                    await primary.command("SET", "{06S}key", "1")  # slot 0
                    return primary
            except (RedisError, OSError, CouldNotStart):
                pass
            await asyncio.sleep(0.05)


async def writes_go_through(server, seconds):
    """Until it refuses: the lag of dead replicas is noticed after a while."""
    async with asyncio.timeout(seconds):
        while True:
            await server.command("SET", "cs:a", "1")
            await asyncio.sleep(0.05)


async def test_sentinel_comes_up_with_replicas_that_writes_need_and_fails_over(tmp_path):
    store = await start_sentinel(tmp_path)
    try:
        first = await store.primary()
        assert first is store.data_servers[0]
        assert store.url.startswith("redis+sentinel://127.0.0.1:")
        assert store.url.endswith("/cryptosense")
        await first.command("SET", "cs:a", "1")
        await first.kill()
        second = await new_primary(store, first)
        await first.restart()
        async with asyncio.timeout(30):
            while (await first.info("replication"))["role"] != "slave":  # noqa: ASYNC110 (a server's role, not ours)
                await asyncio.sleep(0.05)
        for other in store.data_servers:
            if other is not second:
                await other.kill()
        with pytest.raises(RedisError, match=r"(?i)noreplicas"):
            await writes_go_through(second, 30)
    finally:
        await kill_together(store.servers)
    assert not any(server.alive() for server in store.servers)


async def test_a_cluster_serves_all_slots_and_a_replica_takes_over_for_its_primary(tmp_path):
    store = await start_cluster(tmp_path)
    try:
        first = await store.primary()
        assert len(await store.primaries()) == 3
        assert (await store.info("cluster"))["cluster_enabled"] == "1"
        await first.kill()
        second = await new_primary(store, first)
        assert second is store.servers[3]
    finally:
        await kill_together(store.servers)
    assert not any(server.alive() for server in store.servers)
