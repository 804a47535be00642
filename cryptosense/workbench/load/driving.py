"""Carries out a plan in generator processes and puts what they saw into the history."""

import asyncio
import heapq
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Protocol

from hdrh.histogram import HdrHistogram

from cryptosense.errors import CouldNotStart, WorkbenchError
from cryptosense.workbench.history import Operation, Outcome, Recorder
from cryptosense.workbench.load.parts import COMPLETED, read_part
from cryptosense.workbench.load.plan import LoadPlan
from cryptosense.workbench.targets.ceilings import meter_environment
from cryptosense.workbench.topology.instances import clean_environment
from cryptosense.workbench.topology.process import ManagedProcess, kill_together, start_together

BOTTLENECK = 0.9
"""A generator busier than this says nothing about the service."""

QUANTILES = (0.5, 0.9, 0.99, 0.999)
_HIGHEST_US = 3_600_000_000
_POLL_S = 0.1
_MERGE_BATCH = 500
_STOP_S = 15.0


class LoadProgress(Protocol):
    """The part of `experiment.Progress` that counts operations."""

    def advance(self, operations: int) -> None: ...


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load came to. Latencies in seconds by quantile, from the intended time where there was one.

    `generator_busy` is the busiest process's share (0 to 1); `cpu_us` microseconds of processor time a request.
    """

    requests: int
    seconds: float
    latency: dict[float, float]
    generator_busy: float
    cpu_us: float
    lag_p99_s: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def bottleneck(self) -> str | None:
        """Why the figures say nothing about the service, or None."""
        if self.generator_busy <= BOTTLENECK:
            return None
        return f"the load generator itself was {self.generator_busy:.0%} busy; give it more processes or less to do"


class GeneratorProcess(ManagedProcess):
    """One generator; up when it has read its plan."""

    def __init__(self, folder: Path, index: int) -> None:
        command = [sys.executable, "-m", "cryptosense.workbench.load.generator", str(folder.resolve()), str(index)]
        super().__init__(f"generator-{index}", command, folder=folder, env=clean_environment() | meter_environment())
        self.part = folder / f"part-{index}.jsonl"
        self.summary = folder / f"summary-{index}.json"

    async def answers(self) -> bool:
        return "ready" in self.output().splitlines()

    def done(self) -> int:
        """Operations that it finished so far, as it last said."""
        told = [line.split()[1] for line in self.last_lines(3) if line.startswith(("done ", "finished "))]
        return int(told[-1]) if told else 0


async def drive(
    plan: LoadPlan, *, folder: Path, recorder: Recorder, progress: LoadProgress | None = None
) -> LoadReport:
    """Runs the plan to its end; every request becomes an operation of the history, in the plan's phase.

    Recorded besides, labelled with the phase: `generator.busy`, `generator.cpu_us`, `generator.lag_s` per process and
    `load.latency_ms` by `quantile`. A cancelled load stops at once, and what it did is recorded.

    Raises:
        UsageError: the plan cannot be carried out.
        CouldNotStart: a generator did not come up.
        WorkbenchError: a generator died; what the others did is recorded.
    """
    plan.check()
    home = _new_folder(folder, plan.phase)
    secret = home / "plan.json"
    plan.save(secret)
    generators = [GeneratorProcess(home, index) for index in range(plan.processes)]
    try:
        await start_together(generators)
    except BaseException:
        await kill_together(generators)
        raise
    finally:
        # The clients' bearers are in it, and by now everybody who needs it has read it.
        secret.unlink()
    try:
        _write_whole(home / "go", repr(time.monotonic() + 0.05))
        await _attend(plan, generators, progress)
    except asyncio.CancelledError:
        await asyncio.gather(*(generator.terminate(timeout=_STOP_S) for generator in generators))
        await _merge(plan, generators, recorder)
        raise
    finally:
        await kill_together(generators)
    return await _merge(plan, generators, recorder)


async def _attend(plan: LoadPlan, generators: Sequence[GeneratorProcess], progress: LoadProgress | None) -> None:
    """Until each has ended; one that goes on past its time is stopped."""
    shown = 0
    until = time.monotonic() + plan.seconds + plan.timeout_s + _STOP_S
    while any(generator.alive() for generator in generators):
        if time.monotonic() > until:
            await asyncio.gather(*(generator.terminate(timeout=_STOP_S) for generator in generators))
        await asyncio.sleep(_POLL_S)
        done = sum(generator.done() for generator in generators)
        if progress is not None and done > shown:
            progress.advance(done - shown)
            shown = done


async def _merge(plan: LoadPlan, generators: Sequence[GeneratorProcess], recorder: Recorder) -> LoadReport:
    """Every part into the history, in order of completion, without holding the event loop for long."""
    latencies = HdrHistogram(1, _HIGHEST_US, 3)
    count, first, last = 0, float("inf"), 0.0
    parts = [read_part(generator.part) for generator in generators if generator.part.exists()]
    for kind, actor, url, due, invoked, completed, outcome, status, sent, got in heapq.merge(
        *parts, key=itemgetter(COMPLETED)
    ):
        recorder.record(
            Operation(
                id=recorder.next_id(),
                kind=kind,
                actor=actor,
                instance=url,
                invoked_at=invoked - recorder.origin,
                completed_at=completed - recorder.origin,
                outcome=Outcome(outcome),
                status=status,
                phase=plan.phase,
                intended_at=None if due is None else due - recorder.origin,
                sent=sent,
                got=got,
            )
        )
        began = invoked if due is None else due
        latencies.record_value(min(max(int((completed - began) * 1e6), 1), _HIGHEST_US))
        count, first, last = count + 1, min(first, began), max(last, completed)
        if count % _MERGE_BATCH == 0:
            await asyncio.sleep(0)
    for generator in generators:
        generator.part.unlink(missing_ok=True)
    seconds = max(0.0, last - first) if count else 0.0
    return _report(plan, generators, recorder, count=count, seconds=seconds, latencies=latencies)


def _report(
    plan: LoadPlan,
    generators: Sequence[GeneratorProcess],
    recorder: Recorder,
    *,
    count: int,
    seconds: float,
    latencies: HdrHistogram,
) -> LoadReport:
    summaries = [json.loads(one.summary.read_text()) for one in generators if one.summary.exists()]
    if len(summaries) < len(generators):
        dead = next(one for one in generators if not one.summary.exists())
        last_words = "\n".join(dead.last_lines())
        raise WorkbenchError(f"{dead.name} of load {plan.phase!r} died; its log {dead.log}:\n{last_words}")
    report = LoadReport(
        requests=count,
        seconds=seconds,
        latency={quantile: latencies.get_value_at_percentile(quantile * 100) / 1e6 for quantile in QUANTILES},
        generator_busy=max(summary["busy"] for summary in summaries),
        cpu_us=sum(summary["cpu_us"] * summary["requests"] for summary in summaries) / max(count, 1),
        lag_p99_s=max(summary["lag_p99_s"] for summary in summaries),
    )
    for index, summary in enumerate(summaries):
        labels = {"phase": plan.phase, "process": str(index)}
        recorder.observe("generator.busy", summary["busy"], **labels)
        recorder.observe("generator.cpu_us", summary["cpu_us"], **labels)
        recorder.observe("generator.lag_s", summary["lag_p99_s"], **labels)
    for quantile, latency in report.latency.items():
        recorder.observe("load.latency_ms", latency * 1000, phase=plan.phase, quantile=f"{quantile:g}")
    return report


def _new_folder(folder: Path, phase: str) -> Path:
    """A folder of the load's own; a phase that is driven twice gets a number."""
    name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in phase) or "load"
    for attempt in range(1, 10_000):
        home = folder / "load" / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            home.mkdir(parents=True)
        except FileExistsError:
            continue
        return home
    raise CouldNotStart(f"too many loads are called {phase!r}")


def _write_whole(path: Path, text: str) -> None:
    """Readers see nothing or all of it."""
    partial = path.with_suffix(".new")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
