"""How `failover` goes about it: each store is brought up once, and its failures follow one another under load."""

import asyncio
import re
from collections.abc import Sequence

from cryptosense.workbench.client import Wire
from cryptosense.workbench.deployment import Capability, Deployment, DeploymentPlan, StoreKind, UpstreamPlan
from cryptosense.workbench.experiment import Lab
from cryptosense.workbench.experiments.failover_lanes import Lanes, acts_as_primary, store_answers, watched_store
from cryptosense.workbench.experiments.failover_parameters import FailoverParameters, stores_of
from cryptosense.workbench.experiments.failover_scenarios import Scenario
from cryptosense.workbench.faults import FAULTS, Fault, inflicted, watch_elections
from cryptosense.workbench.history import SpanKind
from cryptosense.workbench.readings import watched_machine
from cryptosense.workbench.targets.hooks import HookFailed, NotHealed, until_healed
from cryptosense.workbench.topology.stores import OwnStore

_WRITTEN = re.compile(r"(?P<fault>[a-z]+)(?:\((?P<arguments>[^()]*)\))?")
_POLL_S = 0.05


async def conduct_failover(given: FailoverParameters, lab: Lab) -> None:
    """Records every chosen failure, store by store."""
    async with watched_machine(lab.recorder):
        for store, scenarios in stores_of(given).items():
            async with lab.deploy(_plan(given, store, scenarios)) as deployment:
                await _fail_one_after_the_other(given, lab, deployment, scenarios)


def _plan(given: FailoverParameters, store: StoreKind, scenarios: Sequence[Scenario]) -> DeploymentPlan:
    """Strict tokens, so that every replay has to be refused; a limit that the run can reach and see slide."""
    return DeploymentPlan(
        label=store.value,
        service=given.service,
        instances=given.instances,
        store=store,
        upstream=UpstreamPlan(latency_ms=(20, 60)),
        proxied=any(scenario.fault.startswith(("slow", "cut")) for scenario in scenarios),
        settings={
            "CSRF_GRACE_S": "0",
            "RATE_LIMIT_API_MAX": str(given.limit),
            "RATE_LIMIT_API_WINDOW_MS": f"{given.window_s * 1000:.0f}",
            "RATE_LIMIT_AUTH_MAX": "100000",
            "PASSWORD_MEMORY_KIB": "1024",
            "PASSWORD_ROUNDS": "1",
        },
    )


async def _fail_one_after_the_other(
    given: FailoverParameters, lab: Lab, deployment: Deployment, scenarios: Sequence[Scenario]
) -> None:
    async with Wire(deployment.target, lab.recorder, progress=lab.progress, timeout_s=10.0) as wire:
        can_fail = []
        for scenario in scenarios:
            if reason := _why_not(scenario, deployment):
                wire.skip(scenario.phase, reason)
            else:
                wire.declare(scenario.phase)
                can_fail.append(scenario)
        if not can_fail:
            return
        lab.progress.phase(f"accounts on {deployment.label}")
        lanes = Lanes(wire, sessions=given.sessions, post_every_s=given.post_every_s, probe_every_s=given.probe_every_s)
        await lanes.open()
        if deployment.target.foreign:
            await _fail_by_hooks(given, lab, wire, lanes, can_fail)
            return
        for scenario in can_fail:
            await _fail(given, lab, deployment, lanes, scenario)


def _why_not(scenario: Scenario, deployment: Deployment) -> str | None:
    """Why the failure cannot be inflicted here, and what to provide; None where it can."""
    profile = deployment.target.profile
    if not deployment.target.foreign:
        return None if Capability.FAULTS in deployment.capabilities else "nothing may be done to this store"
    if scenario.control:
        return "controls do not run against a deployment that is not ours"
    if not {scenario.name} <= set(profile.hooks.fault) & set(profile.hooks.heal):
        return f"provide [hooks.fault] {scenario.name} and [hooks.heal] {scenario.name}, commands that inject and cure"
    if profile.csrf.grace_s > 0:
        return "used tokens are declared to pass for a while ([csrf] grace_s): only without one a replay tells anything"
    return None


async def _fail_by_hooks(
    given: FailoverParameters, lab: Lab, wire: Wire, lanes: Lanes, scenarios: Sequence[Scenario]
) -> None:
    """The same on a deployment that is not ours, by its owner's commands; no more of it once one could not be undone.

    A failure whose command failed is left out with the reason, which its claims give.
    """
    broken: NotHealed | None = None
    for scenario in scenarios:
        if broken is not None:
            wire.skip(scenario.phase, f"an earlier failure could not be undone: {broken}")
            continue
        try:
            await _fail_by_hook(given, lab, wire, lanes, scenario)
        except HookFailed as error:
            broken = error if isinstance(error, NotHealed) else None
            wire.skip(scenario.phase, str(error))
        finally:
            lab.progress.fault(None)


async def _fail_by_hook(given: FailoverParameters, lab: Lab, wire: Wire, lanes: Lanes, scenario: Scenario) -> None:
    """One failure. The heal command returns when the thing is done, so the store answers from then on.

    Its limit is not asked about: a stranger's is not the one that the run plans with.
    """
    lab.progress.phase(scenario.label, expected_seconds=given.before_s + (scenario.hold_s or 3.0) + given.after_s)
    hooks, recorder = wire.target.profile.hooks, lab.recorder
    labels = {"phase": scenario.phase, "label": scenario.label}
    with recorder.span(SpanKind.PHASE, scenario.phase):
        async with watched_store(recorder, None, wire.target, scenario.phase), lanes.running(scenario.phase):
            await asyncio.sleep(given.before_s)
            lab.progress.fault(scenario.label)
            with recorder.span(SpanKind.FAULT, scenario.name, **labels, cured_by="hook"):
                async with until_healed(hooks.fault[scenario.name], hooks.heal[scenario.name]):
                    await asyncio.sleep((scenario.hold_s or 3.0) * given.hold_factor)
            lab.progress.fault(None)
            await asyncio.sleep(given.after_s)


async def _fail(given: FailoverParameters, lab: Lab, deployment: Deployment, lanes: Lanes, scenario: Scenario) -> None:
    """Steady state, fault, cure, and the hypothesis again, with all lanes running throughout."""
    lab.progress.phase(scenario.label, expected_seconds=given.before_s + (scenario.hold_s or 3.0) + given.after_s)
    fault, recorder = _fault(deployment, scenario.fault), lab.recorder
    with recorder.span(SpanKind.PHASE, scenario.phase):
        async with (
            watched_store(recorder, deployment.store, deployment.target, scenario.phase),
            watch_elections(fault.own_store(), recorder),
            lanes.running(scenario.phase),
        ):
            await asyncio.sleep(given.before_s)
            await _inflict(given, lab, fault, scenario)
            await asyncio.sleep(given.after_s)


async def _inflict(given: FailoverParameters, lab: Lab, fault: Fault, scenario: Scenario) -> None:
    """The fault and, whatever happens meanwhile, its cure; the span carries the scenario's name."""
    labels = {"phase": scenario.phase, "label": scenario.label}
    labels |= {} if scenario.hold_s is None else {"cured_by": "hand"}
    async with inflicted(fault, lab.recorder, lab.progress, labels=labels):
        if scenario.hold_s is not None:
            await asyncio.sleep(scenario.hold_s * given.hold_factor)
        else:
            await _until_a_new_primary(fault.own_store(), given.recover_s)


def _fault(deployment: Deployment, written: str) -> Fault:
    found = _WRITTEN.fullmatch(written)
    name, arguments = (found["fault"], found["arguments"]) if found else (written, None)
    return FAULTS[name](deployment, tuple(arguments.split(",")) if arguments else ())


async def _until_a_new_primary(store: OwnStore, at_most_s: float) -> None:
    """Waits until another server alone takes the writes, so long at most; the history shows if none did.

    One that was demoted takes them until Sentinel tells it, about a second after it has been replaced. What is written
    there is lost, so that such a write shows nothing of a recovery.
    """
    before = await store.primary()
    loop = asyncio.get_running_loop()
    until = loop.time() + at_most_s
    while loop.time() < until:
        replaced = await store.primary() is not before and await store_answers(store)
        if replaced and not await acts_as_primary(before):
            return
        await asyncio.sleep(_POLL_S)
