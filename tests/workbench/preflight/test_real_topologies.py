"""The preflight on servers as they stand in production: with Sentinel, and as a Cluster."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from cryptosense.workbench.preflight import examine, look
from cryptosense.workbench.run.surroundings import redis_address
from cryptosense.workbench.topology.cluster import start_cluster
from cryptosense.workbench.topology.process import kill_together
from cryptosense.workbench.topology.sentinel import DOWN_AFTER_MS, start_sentinel
from cryptosense.workbench.verdicts import Verdict

pytestmark = pytest.mark.full


@asynccontextmanager
async def running(starting):
    """The store, whose every server ends with the block."""
    store = await starting
    try:
        yield store
    finally:
        await kill_together(store.servers)


async def judged(url):
    examined = await asyncio.to_thread(lambda: examine(look(redis_address(url))))
    return {one.id: one for one in examined}


async def test_sentinel_with_replicas_and_a_quorum_is_recognised_and_a_lost_replica_noticed(tmp_path):
    async with running(start_sentinel(tmp_path)) as store:
        found = await judged(store.url)
        assert found["coverage"].finding.verdict is Verdict.HOLDS, found["coverage"].finding.reason
        assert found["replicas"].finding.verdict is Verdict.HOLDS, found["replicas"].finding.reason
        assert found["patience"].finding.observed == DOWN_AFTER_MS
        for server in store.servers[:3]:
            if server is not await store.primary():
                await server.kill()
        for _ in range(100):
            left = (await judged(store.url))["replicas"]
            if left.finding.verdict is Verdict.VIOLATED:
                break
            await asyncio.sleep(0.1)
        assert left.finding.verdict is Verdict.VIOLATED
        assert left.remedy


async def test_a_cluster_is_covered_until_a_shard_is_lost(tmp_path):
    async with running(start_cluster(tmp_path, replicas=0)) as store:
        found = await judged(store.url)
        assert found["coverage"].finding.verdict is Verdict.HOLDS, found["coverage"].finding.reason
        await store.servers[-1].kill()
        for _ in range(100):
            left = (await judged(store.url))["coverage"]
            if left.finding.verdict is Verdict.VIOLATED:
                break
            await asyncio.sleep(0.1)
        assert left.finding.verdict is Verdict.VIOLATED
        assert left.remedy
