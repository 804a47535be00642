"""The plan's own rollback: the old code again, instance after instance, which is the state in memory and no Redis."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

from cryptosense.workbench.client import Caller
from cryptosense.workbench.experiments.rollback_walk import check_again
from cryptosense.workbench.experiments.scenario import Stage, repeated
from cryptosense.workbench.history import SpanKind
from cryptosense.workbench.targets.hooks import run_hook

BEFORE, AFTER, ROLLING = "plan before", "plan after", "plan rolling"
MENDED = f"{AFTER} mended"
RESTART = "rolled back"
"""What the span of an instance's restart is called, before the instance's name."""

_WITHOUT_REDIS: dict[str, str | None] = {
    "MIGRATION_STAGE": "off",
    "MIGRATION_STAGE_FILE": None,
    "REDIS_URL": None,
    "REDIS_PASSWORD": None,
    "REDIS_TLS": None,
    "REDIS_DB": None,
}


async def roll_back_as_planned(stage: Stage, *, clients: int) -> None:
    """Clients who each keep to one instance, through a rolling restart to memory, and what is left of them after it."""
    stage.wire.declare(BEFORE)
    held = [await _client(stage, number) for number in range(clients)]
    instances = stage.deployment.instances
    if stage.wire.target.foreign:
        await _roll_back_by_hook(stage, held)
        return
    for place, instance in enumerate(instances):
        instance.change_settings(_WITHOUT_REDIS)
        not_yet = {waiting.url for waiting in instances[place + 1 :]}
        others = [client for client in held if client.home in not_yet]
        async with _in_use(others):
            if others:
                with stage.lab.recorder.span(SpanKind.PHASE, f"{RESTART} {instance.name}"):
                    await instance.restart()
            else:
                await instance.restart()
        stage.lab.recorder.observe("rolled.back", place + 1, instance=instance.name)
    for client in held:
        await _live_on(client.caller, client.home, AFTER)
    await check_again(stage, "plan again")


async def _roll_back_by_hook(stage: Stage, held: Sequence["_Sticky"]) -> None:
    """The same by the owner's command, after which clients go on as people would: sign in again, take a new token.

    That a rollback loses sessions and tokens convicts nobody here: it is our own service, as a control, that shows it.
    """
    await run_hook(stage.wire.target.profile.hooks.rollback or "false")
    stage.wire.skip(AFTER, "controls do not run against a deployment that is not ours")
    stage.wire.skip(ROLLING, "which instance is rolled back when is the business of the command in [hooks] rollback")
    for client in held:
        caller = client.caller
        caller.phase = f"{AFTER} found"
        if (await caller.use_session(instance=client.home)).status == 401 and caller.credentials.password:
            await caller.login(instance=client.home)
        caller.phase = MENDED
        await caller.fetch_csrf(instance=client.home)
        await caller.post_csrf(instance=client.home)
    await check_again(stage, "plan again")


class _Sticky:
    """A client and the instance that it keeps to."""

    def __init__(self, caller: Caller, home: str) -> None:
        self.caller = caller
        self.home = home


async def _client(stage: Stage, number: int) -> _Sticky:
    home = stage.urls[number % len(stage.urls)]
    caller = await stage.wire.account(f"plan/s{number}", phase=BEFORE)
    await caller.fetch_csrf(instance=home)
    await caller.post_csrf(instance=home)
    return _Sticky(caller, home)


def _in_use(others: Sequence[_Sticky]) -> AbstractAsyncContextManager[None]:
    """Clients who use their sessions and newest tokens, over and over, until the block ends."""

    async def use(client: _Sticky) -> None:
        client.caller.phase = ROLLING
        await client.caller.use_session(instance=client.home)
        await client.caller.post_csrf(instance=client.home)

    return repeated([partial(use, client) for client in others], every_s=0.08)


async def _live_on(caller: Caller, home: str, phase: str) -> None:
    """The newest token tried first; where it is refused, a new one fetched and used, as a browser does."""
    caller.phase = phase
    await caller.use_session(instance=home)
    reply = await caller.post_csrf(instance=home)
    if reply.status == 403:
        caller.phase = f"{phase} mended"
        await caller.fetch_csrf(instance=home)
        await caller.post_csrf(instance=home)
