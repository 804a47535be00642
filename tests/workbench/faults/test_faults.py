"""Every fault does something that can be observed from outside, and its cure undoes it."""

import asyncio
import time

import aiohttp
import pytest
from redis.exceptions import RedisError

from cryptosense.errors import UsageError
from cryptosense.workbench.deployment import DeploymentPlan, StoreKind, UpstreamPlan
from cryptosense.workbench.faults import FAULTS, inflict, inflicted
from cryptosense.workbench.faults.timeline import PlannedFault, parse
from cryptosense.workbench.history import Recorder, SpanKind, load_history
from cryptosense.workbench.topology.deployments import open_deployment
from cryptosense.workbench.topology.servers import CLIENT_NAME, start_standalone

PLAN = DeploymentPlan(
    "lab",
    instances=1,
    store=StoreKind.STANDALONE_AOF,
    upstream=UpstreamPlan((0, 1)),
    skew_s=(0.0,),
    proxied=True,
)
SLOW_S = 1.5  # a reply that the fault delays by 2 s takes longer, one that a busy machine delays does not


class Eyes:
    """What can be seen of a deployment without asking the fault."""

    def __init__(self, deployment):
        self.deployment = deployment
        self.url = deployment.target.urls[0]

    async def ask(self, path):
        started = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(self.url + path) as answer:
            return answer.status, await answer.json(), time.monotonic() - started

    async def reads(self):
        return (await self.ask("/ping"))[0] == 200

    async def writes(self):
        return (await self.ask("/ping?write=1"))[0] == 200

    async def slow(self):
        return (await self.ask("/ping"))[1]["took"] >= SLOW_S

    async def clock_is_wrong(self):
        return abs((await self.ask("/clock"))[1]["time"] - time.time()) > 600

    async def upstream_answers(self):
        url = f"{self.deployment.upstream.url}/coins/markets?vs_currency=usd&ids=bitcoin"
        timeout = aiohttp.ClientTimeout(total=2)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
                return answer.status == 200
        except TimeoutError:
            return False

    async def server_pid(self):
        return (await self.deployment.store.info("server"))["process_id"]

    async def client_connections(self):
        clients = await self.deployment.store.servers[0].command("CLIENT LIST")
        return {client["id"] for client in clients if client["name"] != CLIENT_NAME}

    async def script_is_known(self, script="return 1"):
        server = self.deployment.store.servers[0]
        return (await server.command("SCRIPT EXISTS", await self.digest(script)))[0]

    async def digest(self, script="return 1"):
        import hashlib

        return hashlib.sha1(script.encode()).hexdigest()


async def eventually(condition, wanted=True):
    """A connection that the fault broke may cost the first question after it."""
    async with asyncio.timeout(20):
        while bool(await condition()) is not wanted:  # noqa: ASYNC110 (a process's state, not ours)
            await asyncio.sleep(0.02)


@pytest.fixture
async def eyes(tmp_path, standin):
    async with open_deployment(PLAN, folder=tmp_path) as deployment:
        eyes = Eyes(deployment)
        await eventually(eyes.writes)
        yield eyes


@pytest.fixture
def recorder(tmp_path):
    with Recorder(tmp_path / "history.jsonl.gz") as recorder:
        yield recorder


async def inflicted_on(eyes, recorder, text):
    return inflicted(PlannedFault.model_validate(f"{text}@0s").on(eyes.deployment), recorder)


BREAKS = {
    "kill": "reads", "freeze": "reads", "cut": "reads", "cut(refused)": "reads", "password": "reads",
    "demote": "writes", "full": "writes", "upstream": "upstream_answers", "upstream(hanging)": "upstream_answers",
}  # fmt: skip
BRINGS = {"slow(2000)": "slow", "skew(960, instance-0)": "clock_is_wrong"}
ONE_SHOT = {"restart", "drop", "flush"}
ROUNDED_S = 0.005  # a history has microseconds, and a loop's timer may fire whole milliseconds early


def test_every_fault_is_observed_by_one_of_these_tests():
    seen = {name.partition("(")[0] for name in (*BREAKS, *BRINGS, *ONE_SHOT)}
    assert seen == set(FAULTS)


@pytest.mark.parametrize("text", BREAKS)
async def test_what_a_fault_breaks_works_again_after_its_cure(eyes, recorder, text):
    works = getattr(eyes, BREAKS[text])
    assert await works()
    async with await inflicted_on(eyes, recorder, text):
        await eventually(works, wanted=False)
        assert not await works()
    await eventually(works)


@pytest.mark.parametrize("text", BRINGS)
async def test_what_a_fault_brings_is_gone_after_its_cure(eyes, recorder, text):
    seen = getattr(eyes, BRINGS[text])
    assert not await seen()
    async with await inflicted_on(eyes, recorder, text):
        assert await seen()
    assert not await seen()


async def test_a_full_or_demoted_server_still_answers_reads(eyes, recorder):
    for text in ("full", "demote"):
        async with await inflicted_on(eyes, recorder, text):
            await eventually(eyes.reads)
            assert not await eyes.writes()
        await eventually(eyes.writes)


async def test_a_demoted_lone_server_keeps_its_data(eyes, recorder):
    server = eyes.deployment.store.servers[0]
    await server.command("SET", "cs:kept", "1")
    async with await inflicted_on(eyes, recorder, "demote"):
        assert (await server.info("replication"))["role"] == "slave"
    assert await server.command("GET", "cs:kept") == "1"
    assert (await server.info("replication"))["role"] == "master"


async def test_restart_gives_a_new_process_on_the_same_port(eyes, recorder):
    before = await eyes.server_pid()
    async with await inflicted_on(eyes, recorder, "restart"):
        assert await eyes.server_pid() != before
    await eventually(eyes.writes)


async def test_dropped_connections_are_dropped_again_until_the_cure(eyes, recorder):
    dropping = await inflicted_on(eyes, recorder, "drop")
    before = await eyes.client_connections()
    async with dropping:
        assert not before & await eyes.client_connections()
        await eventually(eyes.reads)
        again = await eyes.client_connections()

        async def still_there():
            return again & await eyes.client_connections()

        await eventually(still_there, wanted=False)
    await eventually(eyes.reads)


async def test_flushed_scripts_are_unknown_to_the_server(eyes, recorder):
    await eyes.deployment.store.servers[0].command("SCRIPT LOAD", "return 1")
    assert await eyes.script_is_known()
    async with await inflicted_on(eyes, recorder, "flush"):
        assert not await eyes.script_is_known()


async def test_a_killed_instance_is_started_again(eyes, recorder):
    (instance,) = eyes.deployment.instances
    async with await inflicted_on(eyes, recorder, "kill(instance-0)"):
        assert not instance.alive()
    assert await eyes.reads()


async def test_a_cure_is_idempotent_and_harmless_before_the_injection(eyes):
    for name, kind in FAULTS.items():
        fault = kind(eyes.deployment)
        await fault.cure()
        if name not in {"restart", "kill"}:
            await fault.inject()
            await fault.cure()
            await fault.cure()
    await eventually(eyes.writes)
    assert not await eyes.clock_is_wrong()


async def test_a_timeline_runs_heals_and_records_what_it_did(eyes, tmp_path):
    shown = []

    class Progress:
        def fault(self, label):
            shown.append(label)

    with Recorder(tmp_path / "timeline.jsonl.gz") as recorder:
        began = recorder.now()
        await inflict(parse("full@0s for 0.2s; flush@0.1s; kill@0.4s for 0.1s"), eyes.deployment, recorder, Progress())
    spans = load_history(tmp_path / "timeline.jsonl.gz").spans(SpanKind.FAULT)
    assert [span.name for span in spans] == ["full", "flush", "kill"]
    full, flush, kill = spans
    assert full.started_at <= flush.started_at <= full.ended_at
    for span, at, lasts in ((full, 0.0, 0.2), (flush, 0.1, 0.0), (kill, 0.4, 0.1)):
        injected_at, cure_at = float(span.labels["injected_at"]), float(span.labels["cure_at"])
        assert span.started_at <= injected_at <= cure_at <= span.ended_at
        assert span.started_at >= began + at - ROUNDED_S
        assert cure_at >= began + at + lasts - ROUNDED_S
    assert kill.labels["subject"] == "store"
    assert kill.labels["label"] == "store killed"
    assert shown.count(None) == 3
    await eventually(eyes.writes)


async def test_an_experiment_may_name_the_fault_and_its_scenario(eyes, tmp_path):
    fault = PlannedFault.model_validate("flush@0s").on(eyes.deployment)
    with Recorder(tmp_path / "named.jsonl.gz") as recorder:
        async with inflicted(fault, recorder, labels={"phase": "flushed", "label": "all scripts gone"}):
            pass
    (span,) = load_history(tmp_path / "named.jsonl.gz").spans(SpanKind.FAULT)
    assert (span.labels["label"], span.labels["phase"], span.labels["fault"]) == (
        "all scripts gone",
        "flushed",
        "flush",
    )


async def test_a_cancelled_timeline_heals_before_it_ends(eyes, recorder):
    running = asyncio.create_task(
        inflict(parse("freeze@0s for 600s; kill(instance-0)@0s for 600s"), eyes.deployment, recorder)
    )
    await eventually(lambda: asyncio.sleep(0, not eyes.deployment.instances[0].alive()))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(eyes.writes)


async def test_when_one_fault_fails_the_others_are_healed_and_the_failure_is_told(eyes, recorder, monkeypatch):
    async def broken(_self):
        raise RedisError("no such thing")

    monkeypatch.setattr(FAULTS["flush"], "inject", broken)
    with pytest.raises(ExceptionGroup) as caught:
        await inflict(parse("full@0s for 600s; flush@0.2s"), eyes.deployment, recorder)
    assert caught.group_contains(RedisError, match="no such thing")
    await eventually(eyes.writes)


async def test_what_is_not_possible_is_refused_before_anything_is_touched(tmp_path, standin, recorder):
    plan = DeploymentPlan("plain", instances=1)
    async with open_deployment(plan, folder=tmp_path) as deployment:
        for text, complaint in (
            ("slow@0s", "proxied"),
            ("cut@0s", "proxied"),
            ("skew@0s", "skew_s"),
            ("kill(instance-7)@0s", "instance-0, store"),
            ("freeze(replica)@0s", "no replica"),
            ("flush(x)@0s", "no arguments"),
        ):
            with pytest.raises(UsageError, match=complaint):
                await inflict(parse(f"full@0s; {text}"), deployment, recorder)
        assert await Eyes(deployment).writes()


async def test_a_server_that_the_run_did_not_start_is_never_faulted(tmp_path, standin, recorder):
    async with await start_standalone(tmp_path / "theirs") as server:
        plan = DeploymentPlan("given", instances=1)
        async with open_deployment(plan, folder=tmp_path, redis_url=server.url) as deployment:
            for name in set(FAULTS) - {"skew", "upstream"}:
                with pytest.raises(UsageError):
                    await inflict(parse(f"{name}@0s"), deployment, recorder)
        assert await server.command("PING")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("kill", "written like"),
        ("nonsense@1s", "there is no fault"),
        ("kill@-1s", "written like"),
        ("kill@2", "written"),
    ],
)
def test_a_malformed_plan_says_what_is_wrong(text, complaint):
    with pytest.raises(UsageError, match=complaint):
        parse(text)


def test_a_plan_reads_back_as_it_is_written():
    text = "kill@2s for 3s; slow(200)@1.5s for 2s; skew(-5, instance-1)@0s for 1s; flush@8s"
    timeline = parse(text)
    assert str(timeline) == text
    assert timeline.model_dump() == text
    assert parse(str(timeline)) == timeline
    assert timeline.seconds == 8
