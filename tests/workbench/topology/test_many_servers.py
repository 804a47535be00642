"""Sentinel and Cluster come up, fail over, and are gone afterwards."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.topology.cluster import start_cluster
from cryptosense.workbench.topology.given import GivenStore
from cryptosense.workbench.topology.process import kill_together
from cryptosense.workbench.topology.sentinel import SentinelStore, start_sentinel


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


async def is_replica(server):
    """False, too, while it closes its connections, as one does that changes its role."""
    try:
        return (await server.info("replication"))["role"] == "slave"
    except (RedisError, OSError):
        return False


async def only_own_keys_are_removed(store, primaries):
    """As if a user had named this store: a key of theirs and one of the run's on every shard."""
    given = GivenStore(store.url)
    theirs, own = set(), 0
    for number in range(30):
        for primary in primaries:
            try:
                await primary.command("SET", f"{given.prefix}{{{number}}}", "1")
                await primary.command("SET", f"theirs:{{{number}}}", "1")
            except RedisError:  # another shard's slot
                continue
            own += 1
            theirs.add(f"theirs:{{{number}}}")
    assert own == 30
    assert (await given.info("server"))["tcp_port"] in {str(primary.port) for primary in primaries}
    assert await given.remove_own_keys() == 30
    left = {key for primary in primaries for key in await primary.command("KEYS", "*")}
    assert left == theirs


async def writes_go_through(server, seconds):
    """Until it refuses: the lag of dead replicas is noticed after a while."""
    async with asyncio.timeout(seconds):
        while True:
            await server.command("SET", "cs:a", "1")
            await asyncio.sleep(0.05)


@pytest.mark.end_to_end
async def test_sentinel_comes_up_with_replicas_that_writes_need_and_fails_over(tmp_path):
    store = await start_sentinel(tmp_path)
    try:
        first = await store.primary()
        assert first is store.data_servers[0]
        assert store.url.startswith("redis+sentinel://127.0.0.1:")
        assert store.url.endswith("/cryptosense")
        await only_own_keys_are_removed(store, [first])
        await first.command("SET", "cs:a", "1")
        await first.kill()
        second = await new_primary(store, first)
        await first.restart()
        async with asyncio.timeout(30):
            while not await is_replica(first):  # noqa: ASYNC110 (a server's role, not ours)
                await asyncio.sleep(0.05)
        assert await store.primary() is second, "one failover sets off no other"
        for other in store.data_servers:
            if other is not second:
                await other.kill()
        with pytest.raises(RedisError, match=r"(?i)noreplicas"):
            await writes_go_through(second, 30)
    finally:
        await kill_together(store.servers)
    assert not any(server.alive() for server in store.servers)


class Listening:
    """A data server, as far as a sentinel's answer names it."""

    def __init__(self, port):
        self.port = port


class Saying:
    """A sentinel that knows one configuration."""

    def __init__(self, epoch, port):
        self.answers = {"MASTER": {"config-epoch": str(epoch)}, "GET-MASTER-ADDR-BY-NAME": ["127.0.0.1", str(port)]}

    async def command(self, _, question, __):
        return self.answers[question]


class Gone:
    async def command(self, *_):
        raise RedisConnectionError("refused")


@pytest.mark.parametrize("place", range(3))
async def test_the_sentinel_that_led_the_failover_is_believed_before_the_others_have_learned_of_it(place):
    old, new = Listening(1), Listening(2)
    sentinels = [Saying(0, old.port), Saying(0, old.port)]
    assert await SentinelStore([old, new], [*sentinels, Gone()]).primary() is old
    sentinels.insert(place, Saying(1, new.port))
    assert await SentinelStore([old, new], sentinels).primary() is new
    with pytest.raises(CouldNotStart, match="no sentinel answers"):
        await SentinelStore([old, new], [Gone()]).primary()


async def test_a_cluster_serves_all_slots_and_a_replica_takes_over_for_its_primary(tmp_path):
    store = await start_cluster(tmp_path)
    try:
        first = await store.primary()
        assert len(await store.primaries()) == 3
        assert (await store.info("cluster"))["cluster_enabled"] == "1"
        await only_own_keys_are_removed(store, await store.primaries())
        await first.kill()
        second = await new_primary(store, first)
        assert second is store.servers[3]
    finally:
        await kill_together(store.servers)
    assert not any(server.alive() for server in store.servers)
