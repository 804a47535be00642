"""The preflight: judged on real servers, with accounts that may do everything, little, or nothing."""

from dataclasses import replace

import pytest

from cryptosense.errors import CouldNotStart
from cryptosense.settings import RedisSettings
from cryptosense.workbench.preflight import examine, look
from cryptosense.workbench.preflight.facts import ClusterFacts, SentinelFacts
from cryptosense.workbench.topology.servers import start_standalone
from cryptosense.workbench.verdicts import Verdict

WRITES = {"set", "del", "unlink", "flushdb", "flushall", "config|set", "eval", "evalsha", "expire", "acl|setuser"}


@pytest.fixture
async def server(tmp_path):
    started = await start_standalone(tmp_path)
    async with started:
        yield started


def address(server, **changes):
    return replace(RedisSettings(kind="standalone", nodes=(("127.0.0.1", server.port),)), **changes)


def verdicts(facts):
    return {examined.id: examined.finding.verdict for examined in examine(facts)}


async def test_a_server_set_up_well_holds_where_one_server_can(server):
    await server.command("CONFIG", "SET", "appendonly", "yes", "maxmemory", "100mb")
    seen = verdicts(look(address(server)))
    assert {name for name, verdict in seen.items() if verdict is not Verdict.HOLDS} == {"replicas"}


@pytest.mark.parametrize(
    ("check", "setting", "value"),
    [
        ("eviction", "maxmemory-policy", "volatile-lru"),
        ("eviction", "maxmemory-policy", "allkeys-lfu"),
        ("memory", "maxmemory", "1mb"),
        ("timeouts", "timeout", "5"),
        ("timeouts", "tcp-keepalive", "0"),
    ],
)
async def test_a_dangerous_setting_is_found(server, check, setting, value):
    await server.command("CONFIG", "SET", "appendonly", "yes", "maxmemory", "100mb")
    assert verdicts(look(address(server)))[check] is Verdict.HOLDS
    await server.command("CONFIG", "SET", setting, value)
    assert verdicts(look(address(server)))[check] is Verdict.VIOLATED


async def test_a_server_without_persistence_is_found(server):
    await server.command("CONFIG", "SET", "appendonly", "no", "save", "")
    assert verdicts(look(address(server)))["persistence"] is Verdict.VIOLATED


async def test_keys_without_expiry_and_big_keys_are_found_and_named(server):
    await server.command("SET", "basket:7", "x" * 2_000_000)
    found = {examined.id: examined.finding for examined in examine(look(address(server)))}
    assert found["expiry"].verdict is found["big-keys"].verdict is Verdict.VIOLATED
    assert "basket:7" in found["expiry"].reason
    assert "basket:7" in found["big-keys"].reason


async def test_the_look_writes_nothing(server):
    await server.command("SET", "basket:7", "x", "PX", "100000")
    await server.command("CONFIG", "RESETSTAT")
    before = await server.info("persistence")
    look(address(server))
    used = {name.removeprefix("cmdstat_") for name in await server.info("commandstats")}
    assert used & WRITES == set()
    assert (await server.info("persistence"))["rdb_changes_since_last_save"] == before["rdb_changes_since_last_save"]


async def test_an_account_that_may_do_little_is_told_what_it_may_not_see(server):
    await server.command("ACL", "SETUSER", "guest", "on", ">pw", "+ping", "+info", "+client")
    facts = look(address(server, username="guest", password="pw"))
    seen = {examined.id: examined.finding for examined in examine(facts)}
    assert seen["version"].verdict is seen["eviction"].verdict is seen["latency"].verdict is Verdict.HOLDS
    for check, command in (("timeouts", "CONFIG GET"), ("expiry", "SCAN"), ("least-privilege", "ACL GETUSER")):
        assert seen[check].verdict is Verdict.UNDECIDED
        assert command in seen[check].reason


@pytest.mark.parametrize("allowed", [("+ping",), ()])
async def test_an_account_that_may_do_nothing_is_told_so_of_everything(server, allowed):
    await server.command("ACL", "SETUSER", "guest", "on", ">pw", *allowed)
    seen = {one.id: one.finding for one in examine(look(address(server, username="guest", password="pw")))}
    for check, command in (("version", "INFO"), ("timeouts", "CONFIG GET"), ("expiry", "SCAN")):
        assert seen[check].verdict is Verdict.UNDECIDED
        assert command in seen[check].reason
    assert seen["latency"].verdict is (Verdict.HOLDS if allowed else Verdict.UNDECIDED)


async def test_an_account_that_is_refused_gets_one_line(server):
    await server.command("ACL", "SETUSER", "guest", "on", ">pw", "+ping")
    with pytest.raises(CouldNotStart, match="REDIS_PASSWORD"):
        look(address(server, username="guest", password="wrong"))


async def test_nobody_at_the_address_gets_one_line(server):
    await server.kill()
    with pytest.raises(CouldNotStart, match="check the address"):
        look(address(server))


async def test_what_only_matters_off_loopback_is_judged_there(server):
    remote = replace(look(address(server)), loopback=False)
    seen = verdicts(remote)
    assert seen["encryption"] is seen["password"] is seen["least-privilege"] is Verdict.VIOLATED
    assert verdicts(replace(remote, tls=True))["encryption"] is Verdict.HOLDS


@pytest.mark.parametrize(
    ("sentinels", "verdict"),
    [
        (SentinelFacts(3, "OK 3 usable Sentinels. Quorum and failover authorization can be reached"), Verdict.HOLDS),
        (SentinelFacts(3, "NOQUORUM 1 usable Sentinels."), Verdict.VIOLATED),
        (SentinelFacts(1, "OK 1 usable Sentinels."), Verdict.VIOLATED),
    ],
)
async def test_sentinels_need_three_and_a_quorum(server, sentinels, verdict):
    facts = replace(look(address(server)), kind="sentinel", sentinels=sentinels)
    assert verdicts(facts)["coverage"] is verdict


@pytest.mark.parametrize(
    ("down_after_ms", "verdict"), [(1_500, Verdict.HOLDS), (500, Verdict.VIOLATED), (None, Verdict.UNDECIDED)]
)
async def test_sentinels_need_patience_with_a_new_primary(server, down_after_ms, verdict):
    sentinels = SentinelFacts(3, "OK 3 usable Sentinels.", down_after_ms)
    assert verdicts(replace(look(address(server)), kind="sentinel", sentinels=sentinels))["patience"] is verdict


@pytest.mark.parametrize(
    ("cluster", "coverage", "replicas"),
    [
        (ClusterFacts("ok", 16384, 3, ()), Verdict.HOLDS, Verdict.HOLDS),
        (ClusterFacts("fail", 10923, 3, ()), Verdict.VIOLATED, Verdict.HOLDS),
        (ClusterFacts("ok", 16384, 3, ("127.0.0.1:7001",)), Verdict.HOLDS, Verdict.VIOLATED),
    ],
)
async def test_a_cluster_covers_every_slot_and_has_replicas(server, cluster, coverage, replicas):
    seen = verdicts(replace(look(address(server)), kind="cluster", cluster=cluster))
    assert (seen["coverage"], seen["replicas"]) == (coverage, replicas)
