"""Does every promise of the contract hold across instances, restarts included?"""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field

from cryptosense.workbench.claims.claim import Claim, Judgement
from cryptosense.workbench.client import Caller, Reply, Wire
from cryptosense.workbench.deployment import Capability, DeploymentPlan, Instance, StoreKind, UpstreamPlan
from cryptosense.workbench.experiment import Charge, Chart, Doubt, Lab, Parameters
from cryptosense.workbench.experiments.integration_cache import CACHE_SCENARIOS, OTHER_READS, UPSTREAM_MS
from cryptosense.workbench.experiments.integration_charts import integration_charts
from cryptosense.workbench.experiments.integration_claims import RESTARTING, integration_claims
from cryptosense.workbench.experiments.integration_clients import CLIENT_SCENARIOS
from cryptosense.workbench.experiments.integration_csrf import CSRF_SCENARIOS
from cryptosense.workbench.experiments.integration_limits import LIMIT_SCENARIOS
from cryptosense.workbench.experiments.integration_store import STORE_SCENARIOS
from cryptosense.workbench.experiments.integration_trouble import TROUBLE_SCENARIOS, until_well
from cryptosense.workbench.experiments.scenario import (
    Scenario,
    Stage,
    needs,
    play_in_turn,
    play_together,
    repeated,
)
from cryptosense.workbench.history import History, SpanKind
from cryptosense.workbench.readings import watched_machine
from cryptosense.workbench.targets.hooks import HookFailed, run_hook, until_healed

RESTART = "restart"
"""The phase of those who live through the restart; what they ask after it has the phase `restarted`."""


_COLD = "chainlink"
"""A coin that no story reads, so that reading it takes as long as the upstream does."""


class IntegrationParameters(Parameters):
    """What runs, and how tight its short limit is."""

    service: str = Field(default="reference", description="what is judged: the reference, or a control by name")
    instances: int = Field(default=3, ge=2, le=8, description="service instances behind round robin")
    topology: Literal["standalone", "sentinel", "cluster"] = Field(
        default="standalone", description="what carries the state: one server, Sentinel or Cluster"
    )
    stories: Literal["all", "csrf", "limits", "caches", "restart", "store", "outage"] = Field(
        default="all", description="which stories are told; the claims about the others stay undecided"
    )
    limit: int = Field(default=10, ge=2, description="the strict limit, per client and window")
    window_s: float = Field(default=3.0, ge=2, description="the strict limit's window; two of them are waited out")


class Integration:
    """Implements `experiment.Experiment`."""

    name: ClassVar[str] = "integration"
    order: ClassVar[int] = 20
    doubt: ClassVar[Doubt] = Doubt(
        question="Does every promise of the contract hold across instances, restarts included?",
        method=(
            "Short stories, each with clients and budgets of its own, told to several instances at the same time: "
            "tokens followed, replayed and shared by tabs; sessions opened here and ended there; limits spent from "
            "everywhere; lists read, misspelled, invalidated in the midst of their fetch. Then one instance is ended "
            "and started again under traffic, and everything that was open before is used on it. At last the store "
            "is given foreign content, loses replies, and is killed while an instance is told to stop."
        ),
        changes_our_mind=(
            "One answer that no order of the requests explains: each claim names the operations that convict it."
        ),
    )
    parameters: ClassVar[type[Any]] = IntegrationParameters
    full: ClassVar[Mapping[str, Any]] = {"instances": 4, "limit": 20, "window_s": 8.0}
    charges: ClassVar[Mapping[str, Charge]] = {
        contract: Charge(claims, {"stories": stories, "instances": 2})
        for contract, stories, claims in (
            ("CSRF-1", "csrf", ("csrf-successor", "csrf-follow")),
            ("CSRF-3", "csrf", ("csrf-devices", "csrf-tabs")),
            ("CSRF-4", "csrf", ("csrf-successor", "csrf-follow")),
            ("CSRF-7", "csrf", ("csrf-fetch", "csrf-fetch-limited")),
            ("AUTH-1", "csrf", ("session-logout",)),
            ("RATE-1", "limits", ("limit-user", "limit-address")),
            ("RATE-2", "limits", ("limit-overload", "limit-overload-room")),
            ("FIXED-WINDOW", "limits", ("limit-sliding",)),
            ("RATE-3", "limits", ("limit-retry-after",)),
            ("CACHE-1", "caches", ("cache-hits",)),
            ("CACHE-2", "caches", ("cache-stampede",)),
            ("CACHE-4", "caches", ("cache-raced",)),
            ("CACHE-5", "caches", ("cache-spellings", "cache-invalidated")),
            ("CONN-3", "restart", ("health-at-once",)),
            ("CACHE-7", "outage", ("outage-told",)),
            ("CSRF-5", "outage", ("outage-honest",)),
            ("STOP-1", "outage", ("outage-stop",)),
            ("RATE-8", "store", ("store-foreign-limiter",)),
            ("RATE-9", "store", ("store-lost-replies",)),
            ("CACHE-6", "store", ("store-foreign-entry",)),
            ("CACHE-8", "store", ("store-unlink",)),
        )
    }

    async def conduct(self, parameters: IntegrationParameters, lab: Lab) -> None:
        lab.progress.phase("starting", expected_seconds=5)
        async with (
            lab.deploy(_plan(parameters)) as deployment,
            Wire(deployment.target, lab.recorder, progress=lab.progress) as wire,
            watched_machine(lab.recorder),
        ):
            stage = Stage(lab, deployment, wire)
            for place, url in enumerate(stage.urls, start=1):
                lab.recorder.observe("instance", place, url=url)
            lab.progress.phase("stories", expected_seconds=2.3 * parameters.window_s)
            if deployment.target.foreign:  # what may be sent is little, and each story needs its bursts whole
                for name in _TOGETHER:
                    await _tell(stage, parameters, name)
            else:
                await asyncio.gather(*(_tell(stage, parameters, name) for name in _TOGETHER))
            lab.progress.phase("restart of one instance", expected_seconds=5)
            await _tell(stage, parameters, "restart")
            lab.progress.phase("what lies in the store", expected_seconds=3)
            await _tell(stage, parameters, "store")
            lab.progress.phase("an outage", expected_seconds=5)
            await _tell(stage, parameters, "outage")

    def claims(self, parameters: IntegrationParameters) -> Sequence[Claim]:
        return [promise.claim for promise in integration_claims(parameters.topology)]

    def charts(
        self, parameters: IntegrationParameters, history: History, judgements: Sequence[Judgement]
    ) -> Sequence[Chart]:
        del parameters
        return integration_charts(history, judgements)


def _plan(parameters: IntegrationParameters) -> DeploymentPlan:
    """The plan's own `auth` and `api` limits; `strict` in a window short enough to be waited out."""
    return DeploymentPlan(
        label="integration",
        service=parameters.service,
        instances=parameters.instances,
        store=StoreKind(parameters.topology),
        settings={
            "RATE_LIMIT_STRICT_MAX": str(parameters.limit),
            "RATE_LIMIT_STRICT_WINDOW_MS": str(int(parameters.window_s * 1000)),
            "STATE_BUDGET_MS": "2000",  # a busy machine must not bring refusals that are not asked about
            "PASSWORD_MEMORY_KIB": "1024",
            "PASSWORD_ROUNDS": "1",
            "DRAIN_S": "0.1",  # no load balancer has to notice here
        },
        upstream=UpstreamPlan(latency_ms=UPSTREAM_MS),
        proxied=parameters.topology == "standalone",
    )


async def _tell(stage: Stage, parameters: IntegrationParameters, name: str) -> None:
    """Tells the stories of one group, or leaves them out where others were asked for."""
    scenarios = _STORIES[name]
    if parameters.stories not in {"all", name}:
        for scenario in scenarios:
            scenario.leave_out(stage.wire, f"left out, since stories is {parameters.stories}")
    elif name == "store" and stage.deployment.store is None:
        for scenario in scenarios:
            scenario.leave_out(stage.wire, "a store that is not ours is not looked into; see `cryptosense preflight`")
    elif name == "limits" or (name == "csrf" and not stage.wire.target.foreign):
        await play_together(stage, scenarios)
    elif (
        name == "caches" and Capability.UPSTREAM_CONTROL in stage.deployment.capabilities and stage.wire.target.foreign
    ):
        await _play_on_a_slow_upstream(stage, scenarios)
    else:
        await play_in_turn(stage, scenarios)


async def _play_on_a_slow_upstream(stage: Stage, scenarios: Sequence[Scenario]) -> None:
    """A fetch that takes long is one in whose midst something can happen; its owner's commands make it so."""
    upstream = stage.wire.target.profile.upstream
    try:
        async with until_healed(upstream.slow_command or "false", upstream.heal_command or "false"):
            await play_in_turn(stage, scenarios)
    except HookFailed as error:
        for scenario in scenarios:
            scenario.leave_out(stage.wire, str(error))


async def _health(stage: Stage, phase: str) -> None:
    """Health and readiness of every instance."""
    visitor = stage.guest(phase, "visitor")
    for url in stage.urls:
        await visitor.health(instance=url)
        await visitor.health(instance=url, ready=True)


async def _restart(stage: Stage, phase: str) -> None:
    """Clients whose sessions and tokens are older than the restart, and who go on through it and on the new process."""
    clients = [await stage.account(phase, f"s{number}") for number in range(2)]
    for client in clients:
        await client.fetch_csrf()
        await client.post_csrf()
    if stage.wire.target.foreign:
        await _restart_by_hook(stage, clients)
        return
    chosen = stage.deployment.instances[0]
    async with _traffic(clients, [url for url in stage.urls if url != chosen.url]):
        await _end_and_start(stage, chosen)
    for client in clients:
        client.phase = "restarted"
    stage.wire.declare("restarted")
    for _ in range(3):
        for client in clients:
            await client.use_session(instance=chosen.url)
            await client.post_csrf(instance=chosen.url)


async def _restart_by_hook(stage: Stage, clients: Sequence[Caller]) -> None:
    """The owner's command restarts an instance. Behind one address, a load balancer's, the clients go on meanwhile."""
    stage.wire.skip("draining", "how a process ends can be seen only of one that the run started")
    failed: HookFailed | None = None
    async with _traffic(clients, stage.urls if len(stage.urls) == 1 else ()):
        with stage.lab.recorder.span(SpanKind.PHASE, RESTARTING):
            try:
                await run_hook(stage.wire.target.profile.hooks.restart or "false")
            except HookFailed as error:
                failed = error
            await until_well(stage, stage.urls)
    if failed is not None:
        raise failed
    if len(stage.urls) > 1:
        stage.wire.skip(
            RESTART, "which address restarts is not known, so the others were not asked meanwhile: name one"
        )
    for client in clients:
        client.phase = "restarted"
    stage.wire.declare("restarted")
    for url in stage.urls * 2:
        for client in clients:
            await client.use_session(instance=url)
            await client.post_csrf(instance=url)


async def _end_and_start(stage: Stage, chosen: Instance) -> None:
    """SIGTERM while a slow request is under way and others keep connections open, then a new process."""
    patient = stage.guest("draining", "patient")
    await patient.health(instance=chosen.url)
    asked = await _calls_for_cold(stage)
    under_way = asyncio.create_task(patient.read_tokens(_COLD, instance=chosen.url))
    await _until_fetching(stage, under_way, asked)
    with stage.lab.recorder.span(SpanKind.PHASE, RESTARTING):
        began = stage.lab.recorder.now()
        code = await chosen.terminate(timeout=15)
        stage.lab.recorder.observe("exit.code", code, instance=chosen.name, redis="up")
        stage.lab.recorder.observe("exit.seconds", stage.lab.recorder.now() - began, instance=chosen.name, redis="up")
        await under_way
        await chosen.restart()
    await stage.guest("restarted", "first").health(instance=chosen.url)


async def _until_fetching(stage: Stage, reading: asyncio.Task[Reply], asked: int) -> None:
    """Until the upstream was asked by the read, or the read is over.

    What is on its way to a server that has not read it yet is nobody's work, and may be lost when it is told to stop.
    """
    while await _calls_for_cold(stage) <= asked:
        done, _ = await asyncio.wait([reading], timeout=0.005)
        if done:
            return


async def _calls_for_cold(stage: Stage) -> int:
    assert stage.deployment.upstream is not None, "the plan has one"  # noqa: S101 (narrows the type)
    return await stage.deployment.upstream.calls_for((_COLD,))


def _traffic(clients: Sequence[Caller], urls: Sequence[str]) -> AbstractAsyncContextManager[None]:
    """The clients go on, on the instances that stay, if any do, and finish what they are at in the end."""

    async def go_on(client: Caller, places: Iterator[str]) -> None:
        url = next(places)
        await client.post_csrf(instance=url)
        await client.use_session(instance=url)

    going = clients if urls else ()
    return repeated([partial(go_on, client, itertools.cycle(urls)) for client in going], every_s=0.25)


_CAN_RESTART = needs(Capability.RESTART, "instances cannot be restarted here: provide [hooks] restart")
_STORIES: Mapping[str, Sequence[Scenario]] = {
    "csrf": CSRF_SCENARIOS,
    "limits": LIMIT_SCENARIOS,
    "caches": (*CACHE_SCENARIOS, *OTHER_READS, Scenario("health", _health)),
    "restart": (Scenario(RESTART, _restart, (_CAN_RESTART,), also=("restarted", "draining")),),
    "store": (*CLIENT_SCENARIOS, *STORE_SCENARIOS),
    "outage": TROUBLE_SCENARIOS,
}
_TOGETHER = ("csrf", "limits", "caches")
EXPERIMENT = Integration()
