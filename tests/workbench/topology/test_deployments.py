"""Whole deployments of a stand-in service: what comes up, what the handles do, what is left."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import aiohttp
import psutil
import pytest

from cryptosense.errors import CouldNotStart, UsageError
from cryptosense.workbench.deployment import Capability, DeploymentPlan, StoreKind, UpstreamPlan
from cryptosense.workbench.topology.deployments import open_deployment
from cryptosense.workbench.topology.servers import start_standalone

pytestmark = pytest.mark.usefixtures("standin")


async def get(url):
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return await answer.json()


async def test_a_deployment_comes_up_answers_and_leaves_no_process(tmp_path):
    plan = DeploymentPlan("three", settings={"RATE_LIMIT_API_MAX": "7", "CSRF_GRACE_S": "0"})
    async with open_deployment(plan, folder=tmp_path) as deployment:
        assert len(deployment.target.urls) == 3
        told = [await get(f"{url}/settings") for url in deployment.target.urls]
        assert len({each["SIGNING_SECRET"] for each in told}) == 1
        assert len({each["DATABASE_URL"] for each in told}) == 1
        assert told[0]["INSTANCES"] == "3"
        assert deployment.target.profile.limits["api"].max == 7
        assert deployment.target.profile.csrf.grace_s == 0
        assert {Capability.FAULTS, Capability.STAGES, Capability.RESTART} <= deployment.capabilities
        assert [(await get(f"{url}/ping")).get("error") for url in deployment.target.urls] == [None] * 3
        assert int((await deployment.store.info("clients"))["connected_clients"]) >= 3
        processes = [*deployment.instances, *deployment.store.servers, deployment.upstream]
        pids = [process.pid for process in processes]
    assert not any(process.alive() for process in processes)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)


async def test_a_killed_instance_restarts_on_its_port_with_changed_settings(tmp_path):
    async with open_deployment(DeploymentPlan("one", instances=1), folder=tmp_path) as deployment:
        (instance,) = deployment.instances
        await instance.kill()
        assert instance.exit_code == -signal.SIGKILL
        instance.change_settings({"REDIS_URL": None, "MIGRATION_STAGE": "off"})
        await instance.restart()
        told = await get(f"{instance.url}/settings")
        assert "REDIS_URL" not in told
        assert told["MIGRATION_STAGE"] == "off"


async def test_the_stage_is_switched_when_every_instance_says_so(tmp_path):
    async with open_deployment(DeploymentPlan("stages", instances=2, stage="off"), folder=tmp_path) as deployment:
        await deployment.switch_stage("dualwrite")
        assert [(await get(f"{url}/readyz"))["stage"] for url in deployment.target.urls] == ["dualwrite"] * 2


async def test_an_instance_that_does_not_come_up_is_named_with_its_last_words(tmp_path):
    plan = DeploymentPlan("failing", settings={"STANDIN_FAILS": "1"})
    with pytest.raises(CouldNotStart, match=r"instance-\d ended with 1(?s:.*)told to fail"):
        async with open_deployment(plan, folder=tmp_path):
            pytest.fail("it came up")


async def test_clocks_can_be_skewed_from_the_start_and_while_running(tmp_path):
    plan = DeploymentPlan("skewed", instances=2, skew_s=(960.0,))
    async with open_deployment(plan, folder=tmp_path) as deployment:
        ahead, right = deployment.instances
        before = time.monotonic()
        seen = await get(f"{ahead.url}/clock")
        for reading in ("time", "time_ns", "datetime"):
            assert abs(seen[reading] - time.time() - 960) < 60
        assert before <= seen["monotonic"] <= time.monotonic()
        assert abs((await get(f"{right.url}/clock"))["time"] - time.time()) < 60
        right.set_clock(-86_400.0 * 3)
        seen = await get(f"{right.url}/clock")
        assert abs(seen["datetime"] - time.time() + 3 * 86_400) < 60
        assert seen["gmtime"] == time.strftime("%Y-%m-%d", time.gmtime(time.time() - 3 * 86_400))


async def test_without_a_planned_clock_setting_it_is_refused(tmp_path):
    async with open_deployment(DeploymentPlan("plain", instances=1), folder=tmp_path) as deployment:
        with pytest.raises(UsageError, match="skew_s"):
            deployment.instances[0].set_clock(5.0)


async def test_a_given_server_is_used_and_only_the_keys_of_the_run_are_removed(tmp_path):
    async with await start_standalone(tmp_path / "theirs", password="theirs") as server:
        await server.command("SET", "their:key", "1")
        plan = DeploymentPlan("given", instances=1)
        async with open_deployment(plan, folder=tmp_path, redis_url=server.url) as deployment:
            assert Capability.FAULTS not in deployment.capabilities
            assert "theirs" not in deployment.store.redacted
            prefix = (await get(f"{deployment.target.urls[0]}/settings"))["KEY_PREFIX"]
            await server.command("SET", f"{prefix}session:1", "1")
            assert (await deployment.store.info("server"))["tcp_port"] == str(server.port)
        assert await server.command("KEYS", "*") == ["their:key"]


async def test_a_plan_that_cannot_be_is_refused_before_anything_starts(tmp_path):
    for plan in (
        DeploymentPlan("no-store", store=StoreKind.NONE, stage="complete"),
        DeploymentPlan("clocks", instances=1, skew_s=(1, 2)),
        DeploymentPlan("wires", store=StoreKind.CLUSTER, proxied=True),
        DeploymentPlan("none-given", store=StoreKind.GIVEN),
    ):
        with pytest.raises(UsageError):
            async with open_deployment(plan, folder=tmp_path):
                pytest.fail("it came up")


async def test_the_upstream_counts_calls_and_obeys(tmp_path):
    plan = DeploymentPlan("upstream", instances=1, store=StoreKind.NONE, stage="off", upstream=UpstreamPlan((0, 1), 2))
    async with open_deployment(plan, folder=tmp_path) as deployment:
        upstream = deployment.upstream
        url = f"{upstream.url}/coins/markets?vs_currency=usd&ids=bitcoin"
        async with aiohttp.ClientSession() as session:
            statuses = []
            for _ in range(3):
                async with session.get(url) as answer:
                    statuses.append(answer.status)
            assert statuses == [200, 200, 429]
            assert 0 < int(answer.headers["Retry-After"]) <= 60
            await upstream.configure(quota_per_minute=0, health="failing")
            async with session.get(url) as answer:
                assert answer.status == 503
            await upstream.configure(health="hanging")
            hanging = asyncio.create_task(get(url))
            async with asyncio.timeout(20):
                while (await upstream.calls())["/coins/markets"] < 5:  # noqa: ASYNC110 (another process counts)
                    await asyncio.sleep(0.02)
            await asyncio.wait({hanging}, timeout=0.2)
            assert not hanging.done(), "it answered"
            hanging.cancel()
            await asyncio.wait({hanging})
            await upstream.configure(health="up")
            async with session.get(url) as answer:
                assert answer.status == 200
        assert await upstream.calls() == {"/coins/markets": 6, "/coins/{id}/market_chart": 0}


WHOLE = """
import asyncio, signal, sys
from pathlib import Path
from cryptosense.workbench.deployment import DeploymentPlan, StoreKind
from cryptosense.workbench.history import Recorder
from cryptosense.workbench.load import Ask, ClosedLoop, LoadClient, LoadPlan, drive
from cryptosense.workbench.topology import instances
from cryptosense.workbench.topology.deployments import open_deployment

# A shell that starts the tests in the background has its children ignore Ctrl-C, and Python keeps to that.
signal.signal(signal.SIGINT, signal.default_int_handler)
folder, standin = Path(sys.argv[1]), sys.argv[2]
instances.service_command = lambda _name, *, host, port: [sys.executable, standin, "--host", host, "--port", str(port)]

async def main():
    plan = DeploymentPlan("whole", instances=2, store=StoreKind.SENTINEL)
    async with open_deployment(plan, folder=folder) as deployment:
        deployment.store.data_servers[1].freeze()
        ask = LoadPlan("steady", deployment.target.urls, [LoadClient("a")], [Ask("a", "/livez")], ClosedLoop(2), 300)
        with Recorder(folder / "history.jsonl.gz") as recorder:
            await asyncio.gather(drive(ask, folder=folder, recorder=recorder), announce())

async def announce():
    while not any("done" in log.read_text() for log in folder.glob("load/*/generator-0.log")):
        await asyncio.sleep(0.05)
    print("under way", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_of_a_whole_run_outlives_its_conductor(tmp_path, standin, how):
    command = [sys.executable, "-c", WHOLE, str(tmp_path), str(standin)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as conductor:
        assert conductor.stdout.readline() == "under way\n"
        children = psutil.Process(conductor.pid).children(recursive=True)
        assert len(children) >= 11  # 2 instances, 3 servers, 3 sentinels, upstream, generator, reaper
        conductor.send_signal(how)
        conductor.wait(timeout=60)
    until = time.monotonic() + 20
    while [one for one in children if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < until
        time.sleep(0.02)
