"""Brings up what a plan describes, as real processes in a folder, and ends all of it on leaving."""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from cryptosense.errors import CouldNotStart, UsageError
from cryptosense.workbench.deployment import Capability, DeploymentPlan, StoreKind
from cryptosense.workbench.target import CsrfProfile, LimitProfile, Target, TargetProfile, UpstreamProfile
from cryptosense.workbench.topology.given import GivenStore
from cryptosense.workbench.topology.instances import ServiceInstance
from cryptosense.workbench.topology.process import kill_together, start_together
from cryptosense.workbench.topology.skewed_clock import SkewedClock
from cryptosense.workbench.topology.stores import OwnStore, open_store
from cryptosense.workbench.topology.upstream import SimulatedUpstream

_STAGE_S = 15.0
_POLL_S = 0.02


class OwnDeployment:
    """Implements `deployment.Deployment` for processes of the run."""

    def __init__(
        self,
        plan: DeploymentPlan,
        *,
        instances: Sequence[ServiceInstance],
        store: OwnStore | GivenStore | None,
        upstream: SimulatedUpstream,
        stage_file: Path,
    ) -> None:
        self.plan = plan
        self.label = plan.label
        self.instances = tuple(instances)
        self.store = store
        self.upstream = upstream
        self.target = Target(
            urls=tuple(instance.url for instance in instances), profile=_profile(plan.settings, upstream.calls_url)
        )
        self._stage_file = stage_file

    @property
    def capabilities(self) -> frozenset[Capability]:
        granted = {Capability.RESTART, Capability.STAGES, Capability.UPSTREAM_COUNT, Capability.UPSTREAM_CONTROL}
        if self.store is not None:
            granted.add(Capability.STORE_FIGURES)
            if self.store.kind is not StoreKind.GIVEN:
                granted.add(Capability.FAULTS)
        if sys.platform == "linux":
            granted.add(Capability.ADDRESSES)
        return frozenset(granted)

    async def switch_stage(self, stage: str) -> None:
        """Writes the shared stage file and returns when every living instance says that it is there.

        Raises:
            CouldNotStart: an instance did not follow.
        """
        _write_whole(self._stage_file, stage)
        waiting = [instance for instance in self.instances if instance.alive()]
        until = time.monotonic() + _STAGE_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0)) as session:
            for instance in waiting:
                while (seen := await _stage_of(session, instance)) != stage:
                    if time.monotonic() > until:
                        raise CouldNotStart(f"{instance.name} is at stage {seen!r} and did not follow to {stage!r}")
                    await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def open_deployment(
    plan: DeploymentPlan, *, folder: Path, redis_url: str | None = None
) -> AsyncIterator[OwnDeployment]:
    """Brings up store, upstream and instances below `folder` and ends them on leaving, however the block ends.

    `redis_url` names a server of the user's to be used in place of one of the run's own.

    Raises:
        CouldNotStart: with the last lines of the log of what did not come up; nothing is left running.
        UsageError: the plan asks for what cannot be.
    """
    if plan.instances < 1 or len(plan.skew_s) > plan.instances:
        raise UsageError(f"{plan.label}: {len(plan.skew_s)} clocks for {plan.instances} instances")
    if plan.store is StoreKind.NONE and plan.stage != "off":
        raise UsageError(f"{plan.label}: without a store the stage is 'off', not {plan.stage!r}")
    home = _new_folder(folder, plan.label)
    async with AsyncExitStack() as stack:
        upstream = SimulatedUpstream(plan.upstream, folder=home)
        stack.push_async_callback(upstream.kill)
        rising = asyncio.ensure_future(upstream.start())
        stack.push_async_callback(_settle, rising)
        store = await stack.enter_async_context(open_store(plan, home / "store", given=redis_url))
        await rising
        stage_file = home / "stage"
        _write_whole(stage_file, plan.stage)
        settings = _settings(plan, home, store, upstream, stage_file)
        instances = [_instance(plan, home, index, settings) for index in range(plan.instances)]
        # Nothing of theirs is kept, so they need no time for a farewell; that one is promised, experiments ask for it.
        stack.push_async_callback(kill_together, instances)
        await start_together(instances)
        yield OwnDeployment(plan, instances=instances, store=store, upstream=upstream, stage_file=stage_file)


def _settings(
    plan: DeploymentPlan,
    home: Path,
    store: OwnStore | GivenStore | None,
    upstream: SimulatedUpstream,
    stage_file: Path,
) -> dict[str, str]:
    """What every instance of the deployment is told; the plan's own settings come last."""
    return {
        "DATABASE_URL": f"sqlite+aiosqlite:///{home.resolve() / 'database.sqlite'}",
        "COINGECKO_URL": upstream.url,
        "COINGECKO_SPACING_MS": "0",
        "SIGNING_SECRET": secrets.token_hex(32),
        "INSTANCES": str(plan.instances),
        "MIGRATION_STAGE": plan.stage,
        "MIGRATION_STAGE_FILE": str(stage_file.resolve()),
        **(store.environment if store else {}),
        **plan.settings,
    }


def _instance(plan: DeploymentPlan, home: Path, index: int, settings: Mapping[str, str]) -> ServiceInstance:
    name = f"instance-{index}"
    clock = None
    if plan.skew_s:
        offset = plan.skew_s[index] if index < len(plan.skew_s) else 0.0
        clock = SkewedClock(home / f"clock-{index}", offset_s=offset)
    return ServiceInstance(name, folder=home, service=plan.service, settings=settings, clock=clock)


def _profile(settings: Mapping[str, str], calls_url: str) -> TargetProfile:
    """The wire contract with the limits and the grace that the settings declare."""
    base = TargetProfile()
    limits = {name: _limit(name, limit, settings) for name, limit in base.limits.items()}
    csrf = CsrfProfile(grace_s=float(settings.get("CSRF_GRACE_S", base.csrf.grace_s)))
    return base.model_copy(update={"limits": limits, "csrf": csrf, "upstream": UpstreamProfile(calls_url=calls_url)})


def _limit(name: str, declared: LimitProfile, settings: Mapping[str, str]) -> LimitProfile:
    prefix = f"RATE_LIMIT_{name.upper()}"
    maximum = int(settings.get(f"{prefix}_MAX", declared.max))
    window_s = float(settings.get(f"{prefix}_WINDOW_MS", declared.window_s * 1000)) / 1000
    return declared.model_copy(update={"max": maximum, "window_s": window_s})


async def _stage_of(session: aiohttp.ClientSession, instance: ServiceInstance) -> str | None:
    """The stage that the instance says it is at; None while it does not answer, or answers without one."""
    try:
        async with session.get(f"{instance.url}/readyz") as answer:
            body = json.loads(await answer.read())
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
    return str(body.get("stage")) if isinstance(body, dict) else None


async def _settle(starting: "asyncio.Future[None]") -> None:
    """A start that is still under way when something else failed must not go on behind the cleaning up."""
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)


def _new_folder(folder: Path, label: str) -> Path:
    """A folder of the deployment's own; a label used twice in one experiment gets a number."""
    for attempt in range(1, 1_000):
        home = folder / "processes" / (label if attempt == 1 else f"{label}-{attempt}")
        try:
            home.mkdir(parents=True)
        except FileExistsError:
            continue
        return home
    raise UsageError(f"too many deployments are called {label!r}")


def _write_whole(path: Path, text: str) -> None:
    """Readers see the old text or the new, never a part."""
    partial = path.with_suffix(".new")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
