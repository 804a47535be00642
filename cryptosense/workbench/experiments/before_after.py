"""Why migrate at all?

The same load on the same service, its state in each instance's memory and then in Redis, on 1 to N instances. The load
goes round robin over the first n of N running instances, which is what n instances behind a load balancer are.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from cryptosense.workbench.claims.claim import Claim, Judgement
from cryptosense.workbench.client import Caller, Wire
from cryptosense.workbench.deployment import Deployment, DeploymentPlan, StoreKind, UpstreamPlan
from cryptosense.workbench.experiment import Chart, Doubt, Lab, Parameters
from cryptosense.workbench.experiments.before_after_charts import before_after_charts
from cryptosense.workbench.experiments.before_after_claims import before_after_claims
from cryptosense.workbench.experiments.cache_phases import COINS
from cryptosense.workbench.experiments.promise import told_to_the_end
from cryptosense.workbench.history import History, SpanKind
from cryptosense.workbench.readings import upstream_calls, watched_machine

SIDES = ("memory", "redis")


class BeforeAfterParameters(Parameters):
    """How many instances, and how much is asked of them."""

    service: str = Field(default="reference", description="what is judged: the reference, or a control by name")
    instances: int = Field(default=3, ge=2, le=8, description="the most instances; every number from 1 to it is tried")
    sessions: int = Field(default=4, ge=1, description="signed-in clients per number of instances")
    posts: int = Field(default=12, ge=1, description="protected requests of each, one after the other, round robin")
    limit: int = Field(default=10, ge=1, description="the strict limit, per client and minute")
    lists: int = Field(default=2, ge=1, description="coin lists read on every instance, per number of instances")


class BeforeAfter:
    """Implements `experiment.Experiment`."""

    name: ClassVar[str] = "before_after"
    order: ClassVar[int] = 10
    doubt: ClassVar[Doubt] = Doubt(
        question="Why migrate at all?",
        method=(
            "One service, one load, twice: with its state in each instance's memory, then in Redis. Clients go round "
            "robin over 1 to N instances; each signs in, fetches a CSRF token once and follows its successors, spends "
            "a limit several times over, and reads the same coins on every instance. The memory side on N instances is "
            "the control: it must be convicted, else the claims could not see."
        ),
        changes_our_mind=(
            "Tokens that fail in memory on one instance already, or a share of failures off the (N-1)/N line: then "
            "something other than split state is wrong. A single refused token, a request above the limit or a second "
            "upstream call with Redis: then the migration does not deliver."
        ),
    )
    parameters: ClassVar[type[Any]] = BeforeAfterParameters
    full: ClassVar[Mapping[str, Any]] = {"instances": 5, "sessions": 10, "posts": 60, "limit": 50, "lists": 4}

    async def conduct(self, parameters: BeforeAfterParameters, lab: Lab) -> None:
        async with watched_machine(lab.recorder):
            for side in SIDES:
                await _ask_side(parameters, lab, side)

    def claims(self, parameters: BeforeAfterParameters) -> Sequence[Claim]:
        claims = before_after_claims(parameters.instances, parameters.lists)
        return [replace(claim, check=told_to_the_end(claim.check, *_phases_of(claim.id))) for claim in claims]

    def charts(
        self, parameters: BeforeAfterParameters, history: History, judgements: Sequence[Judgement]
    ) -> Sequence[Chart]:
        del judgements
        return before_after_charts(history, parameters.instances, parameters.lists)


async def _ask_side(parameters: BeforeAfterParameters, lab: Lab, side: str) -> None:
    """The load on 1 to N instances that keep their state on one side."""
    lab.progress.phase(f"starting {side}", expected_seconds=5)
    async with lab.deploy(_plan(parameters, side)) as deployment:
        if deployment.target.foreign and side == "memory":
            _skip_memory(parameters, lab, deployment)
            return
        _skip_missing(parameters, lab, deployment, side)
        for count in range(1, min(parameters.instances, len(deployment.target.urls)) + 1):
            lab.progress.phase(f"{side} on {count}", expected_seconds=2)
            await _ask(parameters, lab, deployment, side, count)


def _phases_of(claim: str) -> Sequence[str]:
    """The phases in which a claim's side and number of instances are asked."""
    side, count, _ = claim.split("-", 2)
    return [f"{side}-{count} {what}" for what in ("csrf", "limit", "reads")]


def _plan(parameters: BeforeAfterParameters, side: str) -> DeploymentPlan:
    """Budgets of the load's own (LOAD-1) except the one under test, and sign-ups that cost little."""
    return DeploymentPlan(
        label=side,
        service=parameters.service,
        instances=parameters.instances,
        store=StoreKind.NONE if side == "memory" else StoreKind.STANDALONE,
        stage="off" if side == "memory" else "complete",
        settings={
            "RATE_LIMIT_API_MAX": "100000",
            "RATE_LIMIT_AUTH_MAX": "10000",
            "RATE_LIMIT_STRICT_MAX": str(parameters.limit),
            "STATE_BUDGET_MS": "2000",  # a busy machine must not bring refusals that are not asked about
            "PASSWORD_MEMORY_KIB": "1024",
            "PASSWORD_ROUNDS": "1",
            "DRAIN_S": "0.1",  # no load balancer has to notice here
        },
        upstream=UpstreamPlan(latency_ms=(20, 40)),
    )


def _skip_memory(parameters: BeforeAfterParameters, lab: Lab, deployment: Deployment) -> None:
    wire = Wire(deployment.target, lab.recorder)
    for count in range(1, parameters.instances + 1):
        for what in ("csrf", "limit", "reads"):
            wire.skip(f"memory-{count} {what}", "a deployment that is not ours cannot be run with its state in memory")


def _skip_missing(parameters: BeforeAfterParameters, lab: Lab, deployment: Deployment, side: str) -> None:
    wire, there = Wire(deployment.target, lab.recorder), len(deployment.target.urls)
    for count in range(there + 1, parameters.instances + 1):
        for what in ("accounts", "csrf", "limit", "reads"):
            named = "one address was" if there == 1 else f"{there} addresses were"
            wire.skip(f"{side}-{count} {what}", f"{named} named; name {count} instances, each with --target")


async def _ask(parameters: BeforeAfterParameters, lab: Lab, deployment: Deployment, side: str, count: int) -> None:
    """The whole load on the first `count` instances."""
    name = f"{side}-{count}"
    target = deployment.target.model_copy(update={"urls": deployment.target.urls[:count]})
    async with Wire(target, lab.recorder, progress=lab.progress) as wire:
        clients = [
            await wire.account(f"{name}/s{number}", phase=f"{name} accounts") for number in range(parameters.sessions)
        ]
        for client in clients:
            client.phase = None
        with lab.recorder.span(SpanKind.PHASE, f"{name} csrf"):
            wire.declare(f"{name} csrf")
            await asyncio.gather(*(_follow_tokens(client, parameters.posts) for client in clients))
        if "strict" not in target.profile.limits:
            wire.skip(f"{name} limit", "the limit strict is not declared: add [limits.strict] to the target profile")
        else:
            with lab.recorder.span(SpanKind.PHASE, f"{name} limit"):
                wire.declare(f"{name} limit")
                await _spend_limit(clients[0], target.profile.limits["strict"].max, count)
        with lab.recorder.span(SpanKind.PHASE, f"{name} reads"):
            wire.declare(f"{name} reads")
            await _read_everywhere(lab, deployment, wire.caller(f"{name}/reader"), parameters.lists, count)


async def _follow_tokens(client: Caller, posts: int) -> None:
    """One fetch, then protected requests with the newest token that came back."""
    await client.fetch_csrf()
    for _ in range(posts):
        await client.post_csrf()


async def _spend_limit(client: Caller, limit: int, count: int) -> None:
    """As many requests as one more than `count` budgets hold, a few at once."""
    wanted, at_once = limit * (count + 1), 5
    for start in range(0, wanted, at_once):
        await asyncio.gather(*(client.probe("strict") for _ in range(min(at_once, wanted - start))))


async def _read_everywhere(lab: Lab, deployment: Deployment, reader: Caller, lists: int, count: int) -> None:
    """Each list read twice on each of `count` instances, within its time to live, and what that cost upstream."""
    wanted = _lists(deployment, lists * (count - 1), lists * count)
    # An upstream that tells no lists apart tells its total, which must not be added up once per list.
    told_apart = wanted[:1] if deployment.target.foreign else wanted
    readings = [upstream_calls(lab.recorder, deployment, ids) for ids in told_apart]
    for read in readings:
        await read()
    for ids in wanted:
        for _ in range(2 * count):
            await reader.read_tokens(*ids)
    for read in readings:
        await read()


def _lists(deployment: Deployment, first: int, last: int) -> Sequence[tuple[str, ...]]:
    """Lists of coins that no other number of instances reads, so that the first read of each is cold."""
    coins = deployment.target.profile.cache.ids if deployment.target.foreign else COINS
    pairs = [*itertools.combinations(coins, 2), *((coin,) for coin in coins)]
    return pairs[first:last]


EXPERIMENT = BeforeAfter()
