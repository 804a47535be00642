"""An experiment small enough for tests: a real history, real charts, and every way in which one can end."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from matplotlib.figure import Figure
from pydantic import Field

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.claims.claim import Claim, Finding, Judgement, undecided
from cryptosense.workbench.experiment import Chart, Doubt, Lab, Parameters
from cryptosense.workbench.history import History, Operation, Outcome, SpanKind
from cryptosense.workbench.topology.reaper import REAPER
from cryptosense.workbench.verdicts import Verdict


class TinyParameters(Parameters):
    steps: int = Field(default=5, gt=0, description="how many operations are recorded")
    pause_s: float = Field(default=0.01, description="seconds between two operations")
    good: int = Field(default=5, description="how many of them are ok")
    kinds: tuple[str, ...] = Field(default=("tiny.step",), description="kinds of operation, in turn")
    ending: Literal["well", "raise", "could-not-start", "kill-kernel"] = Field(
        default="well", description="how the experiment ends"
    )
    child: bool = Field(default=False, description="whether a process is started, as a topology would")


def _all_ok(history: History) -> Finding:
    steps = history.operations("tiny")
    bad = [operation.id for operation in steps if operation.outcome is not Outcome.OK]
    verdict = Verdict.VIOLATED if bad else Verdict.HOLDS
    reason = f"{len(bad)} of {len(steps)} steps failed"
    return Finding(verdict, 0, len(bad), "steps", len(steps), reason, evidence=bad[:1])


def _none_ok(history: History) -> Finding:
    steps = history.operations("tiny")
    return Finding(Verdict.VIOLATED if steps else Verdict.HOLDS, 0, len(steps), "steps", len(steps), "steps were taken")


def _never(_: History) -> Finding:
    return undecided("no machine shows it")


class TinyExperiment:
    name: ClassVar[str] = "tiny"
    order: ClassVar[int] = 900
    doubt: ClassVar[Doubt] = Doubt("does the bench itself work?", "a few recorded steps", "a step that fails")
    parameters: ClassVar[type[Any]] = TinyParameters
    full: ClassVar[Mapping[str, Any]] = {"steps": 7, "good": 7}

    async def conduct(self, parameters: TinyParameters, lab: Lab) -> None:
        child = self._child(lab.folder) if parameters.child else None
        try:
            lab.progress.phase("stepping", expected_seconds=parameters.steps * parameters.pause_s)
            with lab.recorder.span(SpanKind.PHASE, "stepping"):
                for step in range(parameters.steps):
                    await self._step(step, parameters, lab)
            self._end(parameters)
        finally:
            if child is not None:
                os.killpg(child, signal.SIGKILL)
                REAPER.release(child)
            (lab.folder / "healed").touch()

    def claims(self, parameters: TinyParameters) -> Sequence[Claim]:
        return (
            Claim("tiny-all-ok", "Every step succeeds", ("TINY-1",), _all_ok),
            Claim("tiny-control", "No step is ever taken", ("TINY-1",), _none_ok, control=True),
            Claim("tiny-advisory", "The moon is calm", ("TINY-2",), _never, advisory="no machine reaches the moon"),
        )

    def charts(self, parameters: TinyParameters, history: History, judgements: Sequence[Judgement]) -> Sequence[Chart]:
        figure = Figure(figsize=(4, 2))
        axes = figure.add_subplot()
        axes.plot([operation.latency for operation in history.operations("tiny")])
        return (Chart("steps", "Steps", f"{len(history.operations('tiny'))} steps", figure),)

    async def _step(self, step: int, parameters: TinyParameters, lab: Lab) -> None:
        began = lab.recorder.now()
        await asyncio.sleep(parameters.pause_s)
        lab.recorder.record(
            Operation(
                id=lab.recorder.next_id(),
                kind=parameters.kinds[step % len(parameters.kinds)],
                actor="tester",
                instance="none",
                invoked_at=began,
                completed_at=lab.recorder.now(),
                outcome=Outcome.OK if step < parameters.good else Outcome.FAILED,
                phase=lab.recorder.phase,
            )
        )
        lab.progress.advance(1)

    def _end(self, parameters: TinyParameters) -> None:
        if parameters.ending == "raise":
            raise ZeroDivisionError("the experiment has a defect")
        if parameters.ending == "could-not-start":
            raise CouldNotStart("the server did not come up; see server.log")
        if parameters.ending == "kill-kernel":
            os.kill(os.getpid(), signal.SIGKILL)

    def _child(self, folder: Path) -> int:
        with (folder / "child.log").open("wb") as log:
            group = REAPER.spawn(["sleep", "1000"], env=dict(os.environ), cwd=folder, output=log).pid
        (folder / "child.pid").write_text(str(group))
        return group


EXPERIMENT = TinyExperiment()
