"""The outage, told last: the store is killed, and an instance is told to stop while it is away."""

import asyncio
import itertools
from collections.abc import Sequence

from cryptosense.workbench.deployment import Capability, StoreKind
from cryptosense.workbench.experiments.scenario import Scenario, Stage, needs
from cryptosense.workbench.history import SpanKind
from cryptosense.workbench.targets.hooks import until_healed

OUTAGE, UNWELL, HEALED, STOPPING = "outage", "health in the outage", "healed", "stopping in the outage"
_PAIRS = tuple(itertools.combinations(("uniswap", "aptos", "near", "polkadot", "ripple", "tether"), 2))


async def _outage(stage: Stage, phase: str) -> None:
    """Lists are asked for and tokens presented while the store is dead; one instance is told to stop; all is healed."""
    store, chosen = stage.deployment.store, stage.deployment.instances[-1]
    assert store is not None, "the scenario needs faults, and those a store"  # noqa: S101 (narrows the type)
    client = await stage.account("before the outage", "s0")
    await client.fetch_csrf()
    client.phase = phase
    reader, urls = stage.guest(phase, "reader"), itertools.cycle(stage.urls)
    visitor = stage.guest(UNWELL, "visitor")
    primary = await store.primary()
    stage.lab.progress.fault("store killed")
    with stage.lab.recorder.span(SpanKind.FAULT, "kill", label="store killed"):
        await primary.kill()
        try:
            await asyncio.gather(*(reader.read_tokens(*pair, instance=next(urls)) for pair in _PAIRS[:9]))
            for url in stage.urls:
                await client.post_csrf(instance=url)
                await visitor.health(instance=url)
            began = stage.lab.recorder.now()
            code = await chosen.terminate(timeout=15)
            stage.lab.recorder.observe("exit.code", code, instance=chosen.name, redis="down")
            stage.lab.recorder.observe(
                "exit.seconds", stage.lab.recorder.now() - began, instance=chosen.name, redis="down"
            )
        finally:
            await primary.restart()
    stage.lab.progress.fault(None)
    await _steady_again(stage, [url for url in stage.urls if url != chosen.url])


async def _steady_again(stage: Stage, urls: Sequence[str]) -> None:
    """Once an instance says that it is well (nobody waits for more than some seconds), a new client signs up and in."""
    await until_well(stage, urls)
    client = stage.guest(HEALED, "s0")
    client.credentials = stage.wire.new_credentials(client.actor)
    for url in urls:
        await (client.register if client.credentials.bearer is None else client.use_session)(instance=url)
        await client.fetch_csrf(instance=url)
        await client.post_csrf(instance=url)


async def _outage_by_hook(stage: Stage, phase: str) -> None:
    """The same on a deployment that is not ours, whose owner's commands take the store away and bring it back."""
    hooks = stage.wire.target.profile.hooks
    stage.wire.skip(STOPPING, "how a process ends can be seen only of one that the run started")
    client = await stage.account("before the outage", "s0")
    await client.fetch_csrf()
    client.phase = phase
    reader, visitor = stage.guest(phase, "reader"), stage.guest(UNWELL, "visitor")
    stage.lab.progress.fault("store taken away")
    with stage.lab.recorder.span(SpanKind.FAULT, "hook", label="store taken away"):
        async with until_healed(hooks.fault[OUTAGE], hooks.heal[OUTAGE]):
            for url in stage.urls * 2:
                await client.post_csrf(instance=url)
                await reader.read_tokens(*reader.profile.cache.ids, instance=url)
                await visitor.health(instance=url)
    stage.lab.progress.fault(None)
    await until_well(stage, stage.urls)
    newcomer = await stage.account(HEALED, "s0")
    for url in stage.urls:
        await newcomer.fetch_csrf(instance=url)
        await newcomer.post_csrf(instance=url)


async def until_well(stage: Stage, urls: Sequence[str]) -> None:
    """Until every address says that it is well; nobody waits for more than some seconds."""
    visitor = stage.guest("healing", "visitor")
    for _ in range(50):
        answers = [(await visitor.health(instance=url)).status for url in urls]
        if set(answers) <= {200}:
            return
        await asyncio.sleep(0.1)


async def _play(stage: Stage, phase: str) -> None:
    await (_outage_by_hook if stage.wire.target.foreign else _outage)(stage, phase)


def _may_fail(stage: Stage) -> str | None:
    if not stage.wire.target.foreign:
        return _FAULTS(stage) or _single(stage)
    hooks = stage.wire.target.profile.hooks
    if OUTAGE in hooks.fault and OUTAGE in hooks.heal:
        return None
    return "provide [hooks.fault] outage and [hooks.heal] outage, commands that take the store away and bring it back"


def _single(stage: Stage) -> str | None:
    store = stage.deployment.store
    if store is not None and store.kind in {StoreKind.STANDALONE, StoreKind.STANDALONE_AOF}:
        return None
    return "this needs one server of the run's own; try topology standalone"


_FAULTS = needs(Capability.FAULTS, "nothing may be done to this store: it is not the run's own")
TROUBLE_SCENARIOS = (Scenario(OUTAGE, _play, (_may_fail,), also=(UNWELL, HEALED, STOPPING)),)
