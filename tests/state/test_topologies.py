"""TLS, Sentinel and Cluster: what differs from one plain server."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import pytest
from redis.exceptions import ConnectionError as NoConnection

from cryptosense.errors import ConfigurationError, CouldNotStart, StateError, StateUnavailable
from cryptosense.state.catalog import open_redis
from cryptosense.state.contracts import CacheKey, EntryKind, Quota
from cryptosense.state.redis.cluster import ClusterRoute
from cryptosense.state.redis.sentinels import Sentinels
from cryptosense.workbench.topology.cluster import start_cluster
from cryptosense.workbench.topology.process import kill_together
from cryptosense.workbench.topology.sentinel import SERVICE, start_sentinel
from cryptosense.workbench.topology.servers import find_server

QUOTA = Quota(100_000, 600_000)


def nodes_of(servers) -> tuple[tuple[str, int], ...]:
    return tuple(("127.0.0.1", server.port) for server in servers)


async def works(state) -> bool:
    try:
        await state.csrf.replace("probe", "token", ttl_ms=60_000)
    except StateError:
        return False
    return True


async def seconds_until_it_works(state, *, at_most: float = 30.0) -> float:
    started = time.monotonic()
    async with asyncio.timeout(at_most):
        while not await works(state):  # noqa: ASYNC110 - what is waited for is a server, which sets no event
            await asyncio.sleep(0.02)
    return time.monotonic() - started


@pytest.fixture
def with_tls():
    try:
        find_server(tls=True)
    except CouldNotStart as error:
        pytest.skip(f"not installed: {error}")


async def test_tls_verifies_the_server_and_presents_a_certificate(with_tls, tools, own_server):
    async with own_server(tls=True) as server:
        trusted = {
            "tls": True,
            "tls_ca": str(server.certificates.authority),
            "tls_cert": str(server.certificates.certificate),
            "tls_key": str(server.certificates.key),
        }
        async with tools.opened(tools.address_of(server, **trusted)) as opened:
            assert await opened.ping()
            assert (await opened.state.windows.admit("client", QUOTA, "decision")).admitted
        for wrong in ({**trusted, "tls_ca": None}, {**trusted, "tls_cert": None, "tls_key": None}, {}):
            state = open_redis(tools.address_of(server, **wrong))
            assert not await state.wait_ready(0.4), f"{wrong} is no way in"
            await state.close()


def test_a_cluster_with_a_database_and_sentinel_without_a_service_are_refused(tools):
    async def both() -> None:
        with pytest.raises(ConfigurationError):
            open_redis(tools.Address((("127.0.0.1", 1),), kind="cluster", db=2))
        with pytest.raises(ConfigurationError):
            open_redis(tools.Address((("127.0.0.1", 1),), kind="sentinel"))

    asyncio.run(both())


@asynccontextmanager
async def sentinel_of_its_own(folder, **options):
    store = await start_sentinel(folder, **options)
    try:
        yield store
    finally:
        await kill_together(store.servers)


@pytest.mark.parametrize("how", ["kill", pytest.param("freeze", marks=pytest.mark.full)])
async def test_rate_9_after_a_failover_the_new_primary_is_found_and_has_the_scripts(how, tmp_path, tools, record):
    async with sentinel_of_its_own(tmp_path) as store:
        address = tools.Address(nodes_of(store.sentinels), kind="sentinel", service=SERVICE)
        async with tools.opened(address, budget_ms=250, observer=record) as opened:
            assert await works(opened.state)
            old = await store.primary()
            if how == "kill":
                await old.kill()
            else:
                old.freeze()
            await seconds_until_it_works(opened.state)
            new = await store.primary()
            assert new.port != old.port
            admitted = await opened.state.windows.admit("client", QUOTA, "decision")
            assert admitted.admitted, "the scripts are there"
            assert record.names().count("close") >= 1
            if how == "freeze":
                old.thaw()
                assert await works(opened.state), "the thawed old primary misleads nobody"


async def another_than(old, sentinels) -> int:
    """The port of the primary, once it is another one; a sentinel told to fail over first calls the old one down."""
    async with asyncio.timeout(30):
        while True:
            with suppress(NoConnection):
                if (port := (await sentinels.primary())[1]) != old.port:
                    return port
            await asyncio.sleep(0.01)


async def test_rate_9_the_sentinel_that_leads_a_failover_names_the_new_primary_before_it_is_over(tmp_path, tools):
    async with sentinel_of_its_own(tmp_path) as store:
        leader, old = store.sentinels[0], store.data_servers[0]
        sentinels = Sentinels(
            tools.Address(nodes_of([leader]), kind="sentinel", service=SERVICE), client_name="cryptosense-test"
        )
        assert await sentinels.primary() == ("127.0.0.1", old.port)
        await leader.command("SENTINEL", "FAILOVER", SERVICE)
        named = await another_than(old, sentinels)
        watched = await leader.command("SENTINEL", "MASTER", SERVICE)
        assert (watched["port"], "failover_in_progress" in watched["flags"]) == (str(old.port), True), "not over yet"
        assert named in {server.port for server in store.data_servers[1:]}
        await sentinels.close()


async def test_sentinel_has_credentials_of_its_own(tmp_path, tools):
    async with sentinel_of_its_own(tmp_path, replicas=1) as store:
        for one in store.sentinels:
            await one.command("ACL", "SETUSER", "watcher", "on", ">lookout", "~*", "&*", "+@all")
            await one.command("ACL", "SETUSER", "default", "-@all", "+ping", "+hello", "+publish")
        plain = tools.Address(nodes_of(store.sentinels), kind="sentinel", service=SERVICE)
        refused = open_redis(plain)
        assert not await refused.wait_ready(0.5)
        await refused.close()
        named = tools.Address(
            nodes_of(store.sentinels),
            kind="sentinel",
            service=SERVICE,
            sentinel_username="watcher",
            sentinel_password="lookout",
        )
        async with tools.opened(named) as opened:
            assert await works(opened.state)


async def test_a_sentinel_that_does_not_answer_is_passed_over(sentinel, tools):
    nodes = (("127.0.0.1", 1), *nodes_of(sentinel.sentinels))
    async with tools.opened(tools.Address(nodes, kind="sentinel", service=SERVICE)) as opened:
        assert await works(opened.state)


async def test_an_unknown_service_is_out_of_reach_and_says_so(sentinel, tools):
    state = open_redis(tools.Address(nodes_of(sentinel.sentinels), kind="sentinel", service="nobody"))
    assert not await state.wait_ready(0.5)
    with pytest.raises(StateUnavailable, match="nobody"):
        await state.state.csrf.peek("session")
    await state.close()


async def test_cache_8_a_space_is_emptied_by_unlink_in_batches_on_every_shard(cluster, tools):
    async with tools.opened(tools.Address(nodes_of(cluster.servers), kind="cluster")) as opened:
        cache = opened.state.cache

        async def put(key: CacheKey) -> None:
            _, lease = await cache.read_or_lease(key, fence="fence", lease_ms=60_000)
            await cache.store(lease, EntryKind.VALUE, b"body", fresh_ms=60_000, stale_ms=0)

        spaces = [f"space-{number}" for number in range(12)]  # enough to lie on all three shards
        await asyncio.gather(*(put(CacheKey(space, f"n{n}")) for space in spaces for n in range(700)))
        for server in cluster.servers:
            await server.command("CONFIG", "RESETSTAT")
        for space in spaces:
            assert await cache.invalidate_space(space) == 700
        for server in cluster.servers:
            stats = await server.info("commandstats")
            calls = int(stats["cmdstat_unlink"].split(",")[0].removeprefix("calls="))
            assert 0 < calls < 700, "batches, on every shard"
            assert "cmdstat_del" not in stats
            assert "cmdstat_keys" not in stats


async def test_a_cluster_finds_a_key_that_has_moved(cluster, tools, monkeypatch):
    routes = []
    learn = ClusterRoute._learn

    def remembered(self, ranges, teller):
        learn(self, ranges, teller)
        routes.append(self)

    monkeypatch.setattr(ClusterRoute, "_learn", remembered)
    async with tools.opened(tools.Address(nodes_of(cluster.servers[:1]), kind="cluster")) as opened:
        route = routes[0]
        wrong = route.at(*route._primaries[0])
        route._slots = [wrong] * len(route._slots)
        sessions = [f"session-{number}" for number in range(30)]
        await asyncio.gather(*(opened.state.csrf.replace(one, "token", ttl_ms=60_000) for one in sessions))
        assert [await opened.state.csrf.peek(one) for one in sessions] == ["token"] * 30
        assert set(sessions) <= {name async for name in opened.state.csrf.live()}


async def test_a_slot_that_is_being_moved_is_asked_for_where_it_goes(cluster, tools):
    async with tools.opened(tools.Address(nodes_of(cluster.servers), kind="cluster")) as opened:
        await opened.state.csrf.replace("mover", "token", ttl_ms=60_000)
        slot = await cluster.servers[0].command("CLUSTER", "KEYSLOT", "cs:csrf:{mover}")
        held = [(await one.command("CLUSTER", "COUNTKEYSINSLOT", slot), one) for one in cluster.servers]
        source = next(one for count, one in held if int(count))
        target = next(one for one in cluster.servers if one is not source)
        ids = {one: await one.command("CLUSTER", "MYID") for one in (source, target)}
        await opened.state.csrf.revoke("mover")
        await target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        await source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        try:
            assert await opened.state.csrf.current("mover", "new", ttl_ms=60_000) == "new"
            assert await opened.state.csrf.peek("mover") == "new"
            assert int(await target.command("CLUSTER", "COUNTKEYSINSLOT", slot)) == 1, "it lies where the slot goes"
        finally:
            await opened.state.csrf.revoke("mover")
            for one in (source, target):
                await one.command("CLUSTER", "SETSLOT", slot, "STABLE")


@asynccontextmanager
async def cluster_of_its_own(folder, **options):
    store = await start_cluster(folder, **options)
    try:
        yield store
    finally:
        await kill_together(store.servers)


async def test_a_frozen_shard_does_not_delay_the_keys_of_the_others(tmp_path, tools):
    budget_s = 3.0  # far more than a busy machine keeps a sound shard from answering
    async with cluster_of_its_own(tmp_path, replicas=0, node_timeout_ms=60_000) as store:
        address = tools.Address(nodes_of(store.servers), kind="cluster")
        async with tools.opened(address, budget_ms=budget_s * 1000) as opened:
            clients = [f"client-{number}" for number in range(60)]
            await asyncio.gather(*(opened.state.windows.admit(one, QUOTA, "decision") for one in clients))
            store.servers[0].freeze()

            async def one(client: str) -> tuple[bool, float]:
                started = time.monotonic()
                try:
                    await opened.state.windows.admit(client, QUOTA, "decision2")
                except StateError:
                    return False, time.monotonic() - started
                return True, time.monotonic() - started

            for number in range(4):
                answers = await asyncio.gather(*(one(client) for client in clients))
                served = [seconds for good, seconds in answers if good]
                failed = [seconds for good, seconds in answers if not good]
                assert 20 <= len(served) <= 55, "two shards of three go on"
                assert max(failed) < 2 * budget_s, "nobody waits much longer than the deadline"
                assert max(served) < budget_s / 2, "and the others do not wait for it"
                if number == 0:  # later ones may fail at once, when the shard has been given up
                    assert max(served) < min(failed), "every answer comes before the first call is given up"
            store.servers[0].thaw()


@pytest.mark.full
async def test_a_cluster_serves_every_key_again_after_a_shard_has_failed_over(tmp_path, tools, record):
    async with cluster_of_its_own(tmp_path, replicas=1) as store:
        address = tools.Address(nodes_of(store.servers), kind="cluster")
        async with tools.opened(address, budget_ms=250, observer=record) as opened:
            await (await store.primary()).kill()
            sessions = [f"session-{number}" for number in range(60)]

            async def all_work() -> bool:
                calls = (opened.state.csrf.replace(one, "token", ttl_ms=60_000) for one in sessions)
                answers = await asyncio.gather(*calls, return_exceptions=True)
                assert all(answer is None or isinstance(answer, StateError) for answer in answers)
                return all(answer is None for answer in answers)

            async with asyncio.timeout(30):
                while not await all_work():  # noqa: ASYNC110 - what is waited for is a server, which sets no event
                    await asyncio.sleep(0.05)
            assert len([name for name in record.names() if name == "error"]) <= 2
