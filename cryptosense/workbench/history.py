"""What happened in a run: an append-only record of operations, observations and spans.

Times are seconds on the machine's monotonic clock (one clock for all processes of the machine), counted from the
history's start. On disk a history is `history.jsonl.gz`: a header line, then one event a line, in order of completion.
"""

import gzip
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptosense.errors import WorkbenchError

FORMAT = "cryptosense.history/1"


class Outcome(StrEnum):
    """How an operation ended. A timeout or a lost connection after sending is UNKNOWN, never FAILED."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """One request and its answer.

    `kind` names what was asked (`csrf.fetch`, `csrf.post`, `limit.probe`, `tokens.read`, `login`, ...), `actor` who
    asked (a session, a tab, an address), `instance` the URL asked. `intended_at` is when an open-loop schedule wanted
    it sent. `sent` and `got` hold what a checker needs, with secrets replaced by stable short digests.
    """

    id: int
    kind: str
    actor: str
    instance: str
    invoked_at: float
    completed_at: float
    outcome: Outcome
    status: int | None = None
    phase: str = ""
    intended_at: float | None = None
    sent: Mapping[str, Any] = field(default_factory=dict)
    got: Mapping[str, Any] = field(default_factory=dict)

    @property
    def latency(self) -> float:
        """Seconds from the intended (else the actual) moment of sending to the answer."""
        return self.completed_at - (self.invoked_at if self.intended_at is None else self.intended_at)


@dataclass(frozen=True, slots=True)
class Observation:
    """A figure read off something other than the answer to an operation."""

    name: str
    at: float
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class SpanKind(StrEnum):
    PHASE = "phase"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time with a name: a phase of the experiment or a fault from its injection to its cure."""

    kind: SpanKind
    name: str
    started_at: float
    ended_at: float
    labels: Mapping[str, str] = field(default_factory=dict)


Event = Operation | Observation | Span
_TAGS: dict[str, type[Event]] = {"operation": Operation, "observation": Observation, "span": Span}


@dataclass(frozen=True, slots=True)
class History:
    """A closed history. `complete` is False when the run stopped before its end."""

    started_at: float
    events: tuple[Event, ...]
    complete: bool = True

    def operations(self, kind: str | None = None, *, phase: str | None = None) -> list[Operation]:
        """Operations of that kind (or whose kind starts with `kind + "."`) and phase, by the time of their call."""
        found = [
            event
            for event in self.events
            if isinstance(event, Operation)
            and (kind is None or event.kind == kind or event.kind.startswith(kind + "."))
            and (phase is None or event.phase == phase)
        ]
        return sorted(found, key=lambda operation: (operation.invoked_at, operation.id))

    def observations(self, name: str, **labels: str) -> list[Observation]:
        """Observations of that name that carry all the labels, in order of time."""
        found = [
            event
            for event in self.events
            if isinstance(event, Observation)
            and event.name == name
            and all(event.labels.get(label) == value for label, value in labels.items())
        ]
        return sorted(found, key=lambda observation: observation.at)

    def spans(self, kind: SpanKind | None = None) -> list[Span]:
        found = [event for event in self.events if isinstance(event, Span) and kind in (None, event.kind)]
        return sorted(found, key=lambda span: span.started_at)


class Recorder:
    """Writes a history while it happens; used as a context manager.

    A line is written whole or, when the process dies, is the last one and dropped on reading. The closing line that
    marks a history complete is written only when the block ended without an error.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = gzip.open(path, "wt", encoding="utf-8", compresslevel=3)  # noqa: SIM115 (closed by __exit__)
        self._origin = time.monotonic()
        self._next_id = 0
        self.phase = ""
        self._write({"format": FORMAT, "started_at": time.time(), "origin": self._origin})

    @property
    def path(self) -> Path:
        """Where the history is written: within the experiment's folder within the run's."""
        return self._path

    def now(self) -> float:
        """Seconds since the history's start."""
        return time.monotonic() - self._origin

    @property
    def origin(self) -> float:
        """The monotonic reading that is this history's zero, for recorders in other processes."""
        return self._origin

    def next_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def record(self, event: Event) -> None:
        tag = next(tag for tag, kind in _TAGS.items() if isinstance(event, kind))
        self._write({"event": tag, **asdict(event)})

    def observe(self, name: str, value: float, **labels: str) -> None:
        self.record(Observation(name=name, at=self.now(), value=float(value), labels=labels))

    @contextmanager
    def span(self, kind: SpanKind, name: str, **labels: str) -> Iterator[None]:
        """Records the stretch from entering to leaving, however the block ends; a phase names its operations."""
        started, before = self.now(), self.phase
        if kind is SpanKind.PHASE:
            self.phase = name
        try:
            yield
        finally:
            self.phase = before
            self.record(Span(kind=kind, name=name, started_at=started, ended_at=self.now(), labels=labels))

    def flush(self) -> None:
        self._file.flush()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._write({"event": "complete"})
        self._file.close()


def load_history(path: Path) -> History:
    """Reads a history back, as far as it was written.

    Raises:
        WorkbenchError: the file is missing or was not written by this program.
    """
    try:
        lines = list(_readable_lines(path))
    except OSError as error:
        raise WorkbenchError(f"cannot read the history {path}: {error}") from error
    if not lines or lines[0].get("format") != FORMAT:
        raise WorkbenchError(f"{path} is not a history of format {FORMAT}")
    events = tuple(_event(line) for line in lines[1:] if line["event"] in _TAGS)
    return History(
        started_at=float(lines[0]["started_at"]),
        events=events,
        complete=any(line["event"] == "complete" for line in lines[1:]),
    )


def _readable_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Every whole line; what a killed process left half-written ends the history."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        try:
            for line in file:
                yield json.loads(line)
        except (EOFError, json.JSONDecodeError, gzip.BadGzipFile):
            return


def _event(line: dict[str, Any]) -> Event:
    fields = {name: value for name, value in line.items() if name != "event"}
    if line["event"] == "operation":
        fields["outcome"] = Outcome(fields["outcome"])
    if line["event"] == "span":
        fields["kind"] = SpanKind(fields["kind"])
    return _TAGS[line["event"]](**fields)
