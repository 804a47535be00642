"""Faults on an experiment's clock, as typed parameters, and their infliction with the cure guaranteed."""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from cryptosense.errors import UsageError
from cryptosense.workbench.deployment import Deployment
from cryptosense.workbench.faults.clocks import ClockSkew
from cryptosense.workbench.faults.connections import CutLink, DroppedConnections, SlowReplies
from cryptosense.workbench.faults.fault import Fault
from cryptosense.workbench.faults.processes import Freeze, Kill, Restart
from cryptosense.workbench.faults.server import Demote, FullMemory, ScriptFlush, WrongPassword
from cryptosense.workbench.faults.upstream import UpstreamOutage
from cryptosense.workbench.history import Recorder, Span, SpanKind

_KINDS: tuple[type[Fault], ...] = (
    Kill, Freeze, Restart, Demote, DroppedConnections, SlowReplies, CutLink, FullMemory, ScriptFlush, WrongPassword,
    ClockSkew, UpstreamOutage,
)  # fmt: skip
FAULTS: Mapping[str, type[Fault]] = {kind.name: kind for kind in _KINDS}
"""Every fault by the name that plans use."""

_CURE_S = 60.0
_FORM = re.compile(
    r"\s*(?P<fault>[a-z]+)\s*(?:\((?P<arguments>[^()]*)\))?\s*@\s*(?P<at>\d+(?:\.\d+)?)\s*s"
    r"(?:\s+for\s+(?P<lasts>\d+(?:\.\d+)?)\s*s)?\s*"
)


class FaultProgress(Protocol):
    """The part of `experiment.Progress` that shows the fault under way."""

    def fault(self, label: str | None) -> None: ...


class PlannedFault(BaseModel):
    """One fault on the clock, written `kill@2s for 3s`, `slow(200)@1.5s for 2s` or `flush@8s`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fault: str
    arguments: tuple[str, ...] = ()
    at_s: float = Field(ge=0, le=86_400)
    lasts_s: float = Field(default=0.0, ge=0, le=86_400)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = _FORM.fullmatch(value)
        if found is None:
            raise ValueError(f"{value!r} is not written like 'kill@2s for 3s' or 'slow(200)@1.5s for 2s'")
        words = [word.strip() for word in (found["arguments"] or "").split(",")]
        return {
            "fault": found["fault"],
            "arguments": tuple(word for word in words if word),
            "at_s": float(found["at"]),
            "lasts_s": float(found["lasts"] or 0),
        }

    @model_validator(mode="after")
    def _exists(self) -> "PlannedFault":
        if self.fault not in FAULTS:
            raise ValueError(f"there is no fault {self.fault!r}; there are {', '.join(FAULTS)}")
        return self

    @model_serializer
    def _write(self) -> str:
        return str(self)

    def __str__(self) -> str:
        arguments = f"({', '.join(self.arguments)})" if self.arguments else ""
        lasts = f" for {self.lasts_s:g}s" if self.lasts_s else ""
        return f"{self.fault}{arguments}@{self.at_s:g}s{lasts}"

    def on(self, deployment: Deployment) -> Fault:
        """The fault itself, ready to be injected.

        Raises:
            UsageError: it is not possible on this deployment.
        """
        return FAULTS[self.fault](deployment, self.arguments)


class Timeline(BaseModel):
    """Faults with their times, written with semicolons between them; they may overlap."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    faults: tuple[PlannedFault, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"faults": tuple(part for part in value.split(";") if part.strip())}
        if isinstance(value, list | tuple):
            return {"faults": tuple(value)}
        return value

    @model_serializer
    def _write(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return "; ".join(str(fault) for fault in self.faults)

    @property
    def seconds(self) -> float:
        """From the start until the last cure begins."""
        return max((fault.at_s + fault.lasts_s for fault in self.faults), default=0.0)


async def inflict(
    timeline: Timeline, deployment: Deployment, recorder: Recorder, progress: FaultProgress | None = None
) -> None:
    """Runs the timeline from now on and returns when the last fault is healed.

    Each fault is recorded as a span from the beginning of its injection to the end of its cure. Whatever happens,
    cancellation included, each injected fault is healed before this returns.

    Raises:
        UsageError: a fault is not possible on this deployment; nothing was touched.
        Exception: what a fault raised; the others were healed.
    """
    prepared = [(planned, planned.on(deployment)) for planned in timeline.faults]
    loop = asyncio.get_running_loop()
    started = loop.time()

    async def one(planned: PlannedFault, fault: Fault) -> None:
        await asyncio.sleep(started + planned.at_s - loop.time())
        async with inflicted(fault, recorder, progress):
            # From the clock, so that a slow injection does not lengthen what follows.
            await asyncio.sleep(max(0.0, started + planned.at_s + planned.lasts_s - loop.time()))

    async with asyncio.TaskGroup() as group:
        for planned, fault in prepared:
            group.create_task(one(planned, fault))


@asynccontextmanager
async def inflicted(
    fault: Fault, recorder: Recorder, progress: FaultProgress | None = None, *, labels: Mapping[str, str] | None = None
) -> AsyncIterator[Fault]:
    """The fault is in effect within the block and healed when it ends, however it ends; recorded as a span.

    The span's labels: `label` and `hatch` for charts, `fault`, `subject` (whom it hit), `injected_at` and `cure_at`
    (when it was in effect, and when the cure began; seconds on the history's clock, empty if it never was), and those
    given, which come last.
    """
    began, injected_at = recorder.now(), ""
    if progress is not None:
        progress.fault((labels or {}).get("label", fault.label))
    try:
        await fault.inject()
        injected_at = f"{recorder.now():.6f}"
        yield fault
    finally:
        cure_at = recorder.now()
        try:
            await _surely(fault.cure())
        finally:
            described = {
                "fault": fault.name,
                "label": _label(fault),
                "hatch": fault.hatch,
                "subject": fault.subject,
                "injected_at": injected_at,
                "cure_at": f"{cure_at:.6f}",
                **(labels or {}),
            }
            recorder.record(Span(SpanKind.FAULT, fault.name, began, recorder.now(), described))
            if progress is not None:
                progress.fault(None)


def _label(fault: Fault) -> str:
    return f"{fault.subject} {fault.label}" if fault.name in {"kill", "freeze", "restart", "skew"} else fault.label


async def _surely(cure: Coroutine[Any, Any, None]) -> None:
    """Runs the cure to its end, even where the task is cancelled meanwhile; then the cancellation goes on.

    Raises:
        TimeoutError: the cure takes longer than a minute.
    """
    healing = asyncio.ensure_future(asyncio.wait_for(cure, _CURE_S))
    cancelled: asyncio.CancelledError | None = None
    while not healing.done():
        try:
            await asyncio.wait({healing})
        except asyncio.CancelledError as error:
            cancelled = error
    healing.result()
    if cancelled is not None:
        raise cancelled


def parse(timeline: str | Sequence[str]) -> Timeline:
    """A timeline from text.

    Raises:
        UsageError: it is not written as `PlannedFault` says, or names a fault that does not exist.
    """
    try:
        return Timeline.model_validate(timeline)
    except ValueError as error:
        raise UsageError(str(error)) from None
