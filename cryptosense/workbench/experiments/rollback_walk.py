"""The walk: six stages forward and back under traffic, on one instance, because memory is an instance's own."""

import asyncio
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

from cryptosense.workbench.client import Caller
from cryptosense.workbench.deployment import Capability
from cryptosense.workbench.experiments.scenario import Stage, repeated
from cryptosense.workbench.history import SpanKind
from cryptosense.workbench.target import Route

STAGES = ("off", "dualwrite", "shadow", "live", "rampdown", "complete")
WALK = (*STAGES[1:], *reversed(STAGES[:-1]))
"""The stages that are switched to, one after the other, from `off` and back to it."""

WALKING, IDLE, AFTER = "walk", "idle", "after"
STATE_BUDGET_S = 1.0
"""What a request may wait for the state; a busy machine must not bring refusals that are not asked about."""

ANSWERED_S = 2 * STATE_BUDGET_S + 0.5
"""The longest that a request lasts whose other side is silent: its own budget and that of the fetch that it joins."""

_SAMPLE = re.compile(r"^(?P<name>cryptosense_\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def flips() -> list[str]:
    """The names of the ten flips, in order."""
    return [f"{before} → {after}" for before, after in zip((STAGES[0], *WALK), WALK, strict=False)]


async def walk(stage: Stage, *, clients: int, hold_s: float, freeze_s: float) -> None:
    """Walks all stages under the traffic of `clients`, each stage held for so long.

    At `dualwrite`, on the way forward, the store is frozen for `freeze_s`: memory counts there, so nobody may notice.
    Sessions that are left alone from `complete` on are asked again at the end; what they lost is the debt.
    """
    stage.wire.declare(WALKING)
    stage.wire.declare(IDLE)
    walkers = [await stage.account(WALKING, f"s{number}") for number in range(clients)]
    for walker in walkers:
        await walker.fetch_csrf()
    forgotten = await stage.account("one-sided", "s0")
    gauge = stage.guest("gauge", "reader")
    idle: list[Caller] = []
    async with _traffic(walkers):
        await asyncio.sleep(hold_s)
        for name, wanted in zip(flips(), WALK, strict=True):
            await _tell(stage, gauge, before=name)
            await _flip(stage, name, wanted)
            await asyncio.sleep(hold_s)
            if name == "off → dualwrite":
                await _freeze_store(stage, freeze_s)
            if name == "dualwrite → shadow":
                await _ask_one_sided(stage, gauge, forgotten)
            if wanted == "complete":
                idle = await _leave_idle(stage, clients)
    await _tell(stage, gauge, before="end")
    for client in idle:
        client.phase = "idle after"
        await client.use_session()
        await client.post_csrf()


async def check_again(stage: Stage, phase: str) -> None:
    """The hypothesis after a rollback: sign-up, sign-in, tokens, logout, the limit, and what the logs say."""
    logs = {instance.name: instance.log for instance in stage.deployment.instances}
    sizes = {name: _size(log) for name, log in logs.items()}
    limit = stage.wire.target.profile.limits.get("strict")
    if limit is None:
        stage.wire.skip(f"{phase} limits", "the limit strict is not declared: add [limits.strict] to the profile")
    for place, url in enumerate(stage.urls):
        stage.wire.declare(f"{phase} limits")
        client = await stage.wire.account(f"{phase}/s{place}", phase=f"{phase} auth")
        again = client.device(f"{phase}/again{place}", phase=f"{phase} auth")
        await again.login(instance=url)
        for caller in (client, again):
            await caller.fetch_csrf(instance=url)
            for _ in range(3):
                await caller.post_csrf(instance=url)
                await caller.use_session(instance=url)
        again.phase = f"{phase} limits"
        if limit is not None:
            await asyncio.gather(*(again.probe("strict", instance=url) for _ in range(limit.max + 5)))
        await client.logout(instance=url)
        await stage.guest(f"{phase} health", "visitor").health(instance=url)
    for name, log in logs.items():
        if log.exists():
            stage.lab.recorder.observe("log.errors", _errors_since(log, sizes[name]), phase=phase, instance=name)


async def _flip(stage: Stage, name: str, wanted: str) -> None:
    """One step, its duration recorded, and whether the processes are still the same ones."""
    pids = [instance.pid for instance in stage.deployment.instances]
    began = stage.lab.recorder.now()
    with stage.lab.recorder.span(SpanKind.PHASE, f"flip {name}"):
        await stage.deployment.switch_stage(wanted)
    same = pids == [instance.pid for instance in stage.deployment.instances]
    stage.lab.recorder.observe("flip.seconds", stage.lab.recorder.now() - began, flip=name)
    stage.lab.recorder.observe("flip.restarts", 0 if same else 1, flip=name)


async def _tell(stage: Stage, gauge: Caller, *, before: str) -> None:
    """Reads debt and differences off every instance's own figures, as somebody would who is about to roll back."""
    metrics = stage.wire.target.profile.health.metrics or Route(path="/metrics")
    for url in stage.urls:
        page = (await gauge.ask("metrics.read", metrics, bearer=False, instance=url)).text
        for found in _SAMPLE.finditer(page):
            labels = dict(_LABEL.findall(found["labels"]))
            if found["name"] == "cryptosense_rollback_debt":
                stage.lab.recorder.observe("rollback.debt", float(found["value"]), before=before, **labels)
            if found["name"] == "cryptosense_state_differences_total":
                stage.lab.recorder.observe("state.differences", float(found["value"]), before=before, **labels)


async def _freeze_store(stage: Stage, seconds: float) -> None:
    """The store stops answering for a while (nobody closes a connection), and goes on."""
    store = stage.deployment.store
    if seconds <= 0 or store is None or Capability.FAULTS not in stage.deployment.capabilities:
        return
    primary = await store.primary()
    stage.lab.progress.fault("store frozen at dualwrite")
    with stage.lab.recorder.span(SpanKind.FAULT, "freeze", label="store frozen at dualwrite"):
        primary.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            primary.thaw()
    stage.lab.progress.fault(None)
    await asyncio.sleep(1.0)


async def _ask_one_sided(stage: Stage, gauge: Caller, forgotten: Caller) -> None:
    """A session that was opened before anything was written twice: the comparison must see that one side lacks it."""
    await _tell(stage, gauge, before="one-sided asked")
    for _ in range(3):
        await forgotten.use_session()
    await _tell(stage, gauge, before="one-sided told")


async def _leave_idle(stage: Stage, clients: int) -> list[Caller]:
    """Sessions with tokens that nobody uses on the way back."""
    idle = [await stage.account(IDLE, f"s{number}") for number in range(clients)]
    for client in idle:
        await client.fetch_csrf()
        await client.post_csrf()
    return idle


def _traffic(clients: Sequence[Caller]) -> AbstractAsyncContextManager[None]:
    """Every client changes something, uses its session and, each third time, trades its refresh token."""

    async def go_on(client: Caller, numbers: Iterator[int]) -> None:
        await client.post_csrf()
        await client.use_session()
        if next(numbers) % 3 == 0:
            await client.refresh()

    return repeated([partial(go_on, client, itertools.count()) for client in clients], every_s=0.08)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _errors_since(log: Path, start: int) -> int:
    """Lines of the log beyond `start` that tell of an error or of a trace."""
    with log.open("rb") as file:
        file.seek(start)
        text = file.read().decode(errors="replace")
    marks = ('"level":"ERROR"', '"level":"CRITICAL"', "Traceback (most recent call last)")
    return sum(any(mark in line for mark in marks) for line in text.splitlines())
