"""How `capacity` goes about it: a driver puts identities into a store, step by step, and tells what each costs.

The driver (`cryptosense.bench.populate`) writes through the service's own state, so that what is measured is what the
service keeps; the workbench itself may not know that state, and starts the driver as a program.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.deployment import DeploymentPlan, StoreKind
from cryptosense.workbench.experiment import Lab
from cryptosense.workbench.experiments.capacity_parameters import (
    ONE_TAG,
    OTHERS,
    PLANNED_DENIED,
    PLANNED_FULL,
    USER,
    CapacityParameters,
)
from cryptosense.workbench.history import Recorder, SpanKind
from cryptosense.workbench.readings import watched_machine

ANSWER_S = 900.0
_FULL, _FULL_FIRST = 100, 500_000_000  # a client at its limit of 100; identities that nobody else has


class Driver:
    """The populating program; one question at a time."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    async def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer.

        Raises:
            CouldNotStart: it ended, or did not answer within `ANSWER_S`; with the end of its log.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise CouldNotStart("the driver of the state has no pipes")
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            await self._process.stdin.drain()
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                line = await self._process.stdout.readline()
        if not line:
            words = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            raise CouldNotStart("the driver of the state did not answer: " + " ".join(words))
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.asynccontextmanager
async def driver(url: str, folder: Path, name: str) -> AsyncIterator[Driver]:
    """Runs the driver against the store; it ends with its input, so with this process at the latest.

    The URL, which may hold a password, travels over the pipe and not on the command line.
    """
    log = folder / f"populate-{name}.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cryptosense.bench.populate",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
        )
    try:
        started = Driver(process, log)
        await started.ask({"redis_url": url})
        yield started
    finally:
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def conduct_capacity(given: CapacityParameters, lab: Lab) -> None:
    """One server first, then a Cluster; each is filled and never emptied."""
    async with watched_machine(lab.recorder):
        await _measure(given, lab, StoreKind.STANDALONE, given.identities)
        if given.cluster_identities:
            await _measure(given, lab, StoreKind.CLUSTER, given.cluster_identities)


async def _measure(given: CapacityParameters, lab: Lab, kind: StoreKind, steps: Sequence[int]) -> None:
    plan = DeploymentPlan(label=kind.value, instances=1, store=kind)
    async with lab.deploy(plan) as deployment:
        if deployment.store is None or not deployment.store.servers:
            reason = "identities are put only into a store that the run started, never into somebody's own"
            lab.recorder.observe("skipped", 1.0, phase="capacity", reason=reason)
            return
        async with driver(deployment.store.url, lab.folder, kind.value) as program:
            with lab.recorder.span(SpanKind.PHASE, f"{kind.value}"):
                await _fill(lab, program, kind.value, steps)
                if kind is StoreKind.STANDALONE:
                    await _fill_limits(given, lab, program)
                    await _fill_as_planned(given, lab, program)
                else:
                    await _fill_one_shard(lab, program, steps[0])


async def _fill(lab: Lab, program: Driver, store: str, steps: Sequence[int]) -> None:
    """Whole users, up to each number in turn."""
    before = 0
    for number in steps:
        lab.progress.phase(f"{number:,} users on {store}", expected_seconds=(number - before) / 8_000)
        answer = await program.ask({"what": USER, "first": before, "last": number})
        lab.progress.advance(len(USER) * (number - before))
        before = number
        _record(lab.recorder, answer, store, number)
        lab.recorder.observe(
            "capacity.bytes", answer["bytes"] / number, what="user", store=store, identities=str(number)
        )
        lab.recorder.observe(
            "capacity.commands", answer["scripts"] / number, what="user", store=store, identities=str(number)
        )
        lab.recorder.observe(
            "capacity.server_us",
            answer["server_us"] / answer["scripts"],
            what="user",
            store=store,
            identities=str(number),
        )
        for shard, keys in enumerate(answer["keys"]):
            share = keys / sum(answer["keys"])
            labels = {"what": "user", "store": store, "identities": str(number), "shard": str(shard)}
            lab.recorder.observe("capacity.shard_share", share, **labels)


async def _fill_limits(given: CapacityParameters, lab: Lab, program: Driver) -> None:
    """Other algorithms' records, then clients at their limit, then the same clients after many denials."""
    lab.progress.phase("clients at their limit", expected_seconds=3)
    first, last = _FULL_FIRST, _FULL_FIRST + given.full_clients
    for what in OTHERS:
        answer = await program.ask({"what": [what], "first": 0, "last": given.full_clients})
        _record(lab.recorder, answer, "standalone", given.full_clients)
    for name, each in (("limit-full", _FULL), ("limit-denied", given.denied)):
        answer = await program.ask({"what": ["limit-full"], "first": first, "last": last, "each": each})
        size = answer["key_bytes"]["limit-full"]
        labels = {"what": name, "store": "standalone", "identities": str(given.full_clients)}
        lab.recorder.observe("capacity.bytes", size, **labels)
        lab.progress.advance(each * given.full_clients)


async def _fill_as_planned(given: CapacityParameters, lab: Lab, program: Driver) -> None:
    """The control beside it: the plan's limiter, which keeps the denied requests too."""
    clients = max(10, given.full_clients // 5)
    for name, each in ((PLANNED_FULL, _FULL), (PLANNED_DENIED, _FULL + given.denied)):
        answer = await program.ask({"control": "plan-limit", "clients": clients, "each": each})
        labels = {"what": name, "store": "standalone", "identities": str(clients)}
        lab.recorder.observe("capacity.bytes", answer["bytes"], **labels)


async def _fill_one_shard(lab: Lab, program: Driver, clients: int) -> None:
    """The control of the even spread: all keys under one hash tag."""
    answer = await program.ask({"control": "one-tag", "clients": clients, "each": 1})
    for shard, keys in enumerate(answer["keys"]):
        labels = {"what": ONE_TAG, "store": "cluster", "identities": str(clients), "shard": str(shard)}
        lab.recorder.observe("capacity.shard_share", keys / sum(answer["keys"]), **labels)


def _record(recorder: Recorder, answer: Mapping[str, Any], store: str, number: int) -> None:
    for what, size in answer["key_bytes"].items():
        recorder.observe("capacity.bytes", size, what=what, store=store, identities=str(number))
