"""Can we go back, and what does it cost?"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.claims.claim import Claim, Judgement
from cryptosense.workbench.client import Wire
from cryptosense.workbench.deployment import Capability, DeploymentPlan, UpstreamPlan
from cryptosense.workbench.experiment import Chart, Doubt, Lab, Parameters
from cryptosense.workbench.experiments.promise import told_to_the_end
from cryptosense.workbench.experiments.rollback_charts import rollback_charts
from cryptosense.workbench.experiments.rollback_claims import rollback_claims
from cryptosense.workbench.experiments.rollback_plan import AFTER, BEFORE, ROLLING, roll_back_as_planned
from cryptosense.workbench.experiments.rollback_walk import STATE_BUDGET_S, WALKING, check_again, walk
from cryptosense.workbench.experiments.scenario import Stage
from cryptosense.workbench.history import History
from cryptosense.workbench.readings import watched_machine
from cryptosense.workbench.targets.ceilings import CeilingReached
from cryptosense.workbench.targets.hooks import HookFailed


class RollbackParameters(Parameters):
    """How much walks, and how long each stage is held."""

    service: str = Field(default="reference", description="what is judged: the reference, or a control by name")
    clients: int = Field(default=3, ge=1, description="signed-in clients that walk, and as many that are left alone")
    hold_s: float = Field(default=0.6, gt=0, description="how long each stage is held under traffic, in s")
    freeze_s: float = Field(default=3.2, ge=0, description="how long the store is frozen at dualwrite, in s; 0 is not")
    instances: int = Field(default=2, ge=1, le=8, description="instances of the plan's own rollback, sticky clients")
    limit: int = Field(default=10, ge=1, description="the strict limit, per client and minute")


class Rollback:
    """Implements `experiment.Experiment`."""

    name: ClassVar[str] = "rollback"
    order: ClassVar[int] = 60
    doubt: ClassVar[Doubt] = Doubt(
        question="Can we go back, and what does it cost?",
        method=(
            "One instance is walked through the six stages and back while clients use it; at dualwrite the store is "
            "frozen for a moment; sessions are left alone at the far end to see what the way back loses, beside what "
            "the service had said it would. It is one instance, because memory is an instance's own. Beside it the "
            "plan's rollback: instances restarted one after the other with the state in memory, clients each keeping "
            "to theirs. After both the authentication flow, the limit and the logs are checked again."
        ),
        changes_our_mind=(
            "A request that fails because of a flip, a token lost that nobody had counted, or anything broken after "
            "the way back: a rollback that breaks the service is no rollback."
        ),
    )
    parameters: ClassVar[type[Any]] = RollbackParameters
    full: ClassVar[Mapping[str, Any]] = {"clients": 8, "hold_s": 5.0, "freeze_s": 5.0, "instances": 3}

    async def conduct(self, parameters: RollbackParameters, lab: Lab) -> None:
        lab.progress.phase("walking the stages", expected_seconds=16 + 10 * parameters.hold_s)
        async with watched_machine(lab.recorder), asyncio.TaskGroup() as group:
            group.create_task(_walk_and_check(parameters, lab))
            group.create_task(_roll_back_and_check(parameters, lab))

    def claims(self, parameters: RollbackParameters) -> Sequence[Claim]:
        del parameters
        whole = {"walk": (WALKING,), "after": _checked("after"), "plan": _checked("plan again")}
        return [
            replace(claim, check=told_to_the_end(claim.check, *whole[claim.id.partition("-")[0]]))
            for claim in rollback_claims()
        ]

    def charts(
        self, parameters: RollbackParameters, history: History, judgements: Sequence[Judgement]
    ) -> Sequence[Chart]:
        del parameters, judgements
        return rollback_charts(history)


def _checked(phase: str) -> tuple[str, ...]:
    """The phases of the checks after a rollback."""
    return (phase, *(f"{phase} {part}" for part in ("auth", "limits", "health")))


async def _walk_and_check(parameters: RollbackParameters, lab: Lab) -> None:
    plan = _plan(parameters, "walk", instances=1, stage="off")
    async with lab.deploy(plan) as deployment, Wire(deployment.target, lab.recorder, progress=lab.progress) as wire:
        stage = Stage(lab, deployment, wire)
        if Capability.STAGES not in deployment.capabilities:
            for phase in (WALKING, "after", "after auth", "after limits", "idle after"):
                wire.skip(phase, "the migration stage of this deployment cannot be switched from here")
            return
        await walk(stage, clients=parameters.clients, hold_s=parameters.hold_s, freeze_s=parameters.freeze_s)
        await check_again(stage, "after")


async def _roll_back_and_check(parameters: RollbackParameters, lab: Lab) -> None:
    plan = _plan(parameters, "plan", instances=parameters.instances, stage="complete")
    async with lab.deploy(plan) as deployment, Wire(deployment.target, lab.recorder, progress=lab.progress) as wire:
        stage = Stage(lab, deployment, wire)
        reason = None
        if deployment.target.foreign and deployment.target.profile.hooks.rollback is None:
            reason = "provide [hooks] rollback, a command that rolls the deployment back"
        else:
            try:
                await roll_back_as_planned(stage, clients=2 * parameters.instances)
            except (HookFailed, CouldNotStart, CeilingReached) as error:
                if not deployment.target.foreign:
                    raise
                reason = str(error)
        for phase in (BEFORE, ROLLING, AFTER, "plan again") if reason else ():
            wire.skip(phase, reason or "")


def _plan(parameters: RollbackParameters, label: str, *, instances: int, stage: str) -> DeploymentPlan:
    """Budgets of the load's own (LOAD-1), and the limit that is checked."""
    return DeploymentPlan(
        label=label,
        service=parameters.service,
        instances=instances,
        stage=stage,
        settings={
            "RATE_LIMIT_API_MAX": "1000000",
            "RATE_LIMIT_AUTH_MAX": "100000",
            "RATE_LIMIT_STRICT_MAX": str(parameters.limit),
            "STATE_BUDGET_MS": f"{1000 * STATE_BUDGET_S:.0f}",
            "PASSWORD_MEMORY_KIB": "1024",
            "PASSWORD_ROUNDS": "1",
            "DRAIN_S": "0.1",  # no load balancer has to notice here
        },
        upstream=UpstreamPlan(latency_ms=(20, 40)),
    )


EXPERIMENT = Rollback()
