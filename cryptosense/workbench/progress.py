"""What a run is doing just now, said by the experiment and shown in the terminal and in the notebook.

An experiment runs in a kernel, the command line in a process of its own: what happens goes to `progress.jsonl` in the
experiment's folder, a line a change, and whoever watches reads on from where it stopped.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRESS = "progress.jsonl"

JUDGING, DONE = "judging", "done"
"""The phases after an experiment's own: nothing is measured any more, and every process of it has ended."""

_SECONDS_BETWEEN_COUNTS = 0.4


@dataclass(slots=True)
class Status:
    """What is known of an experiment under way. Times are Unix seconds."""

    phase: str = "starting the notebook"
    phase_since: float = field(default_factory=time.time)
    expected_seconds: float | None = None
    operations: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def measuring(self) -> bool:
        """Whether company could still disturb a figure."""
        return self.phase not in {JUDGING, DONE}

    def apply(self, change: dict[str, Any]) -> None:
        """Takes over one line of the progress file."""
        if "phase" in change:
            self.phase, self.phase_since = change["phase"], change["at"]
            self.expected_seconds = change.get("expected_seconds")
        self.operations = change.get("operations", self.operations)
        self.faults = change.get("faults", self.faults)

    def sentence(self, now: float) -> str:
        """Phase, its age, operations and fault in one line."""
        age = f"{max(0.0, now - self.phase_since):.0f} s"
        if self.expected_seconds:
            age += f" of about {self.expected_seconds:.0f} s"
        parts = [f"{self.phase} ({age})", f"{self.operations:,} operations"]
        parts += [f"fault: {' + '.join(self.faults)}"] if self.faults else []
        return " · ".join(parts)


class ProgressLog:
    """Implements `experiment.Progress`: keeps the status and writes each change down at once, counts now and then.

    `on_change` is called after each change of phase or fault.
    """

    def __init__(self, path: Path, on_change: Callable[[], None] = lambda: None) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._on_change = on_change
        self._counted_at = 0.0
        self.status = Status()

    def phase(self, name: str, *, expected_seconds: float | None = None) -> None:
        self._say(phase=name, expected_seconds=expected_seconds)

    def advance(self, operations: int) -> None:
        self.status.operations += operations
        if time.monotonic() - self._counted_at > _SECONDS_BETWEEN_COUNTS:
            self._say()

    def fault(self, label: str | None) -> None:
        """Faults may overlap: a label joins those under way, None says that all are healed."""
        self._say(faults=[] if label is None else [*self.status.faults, label])

    def _say(self, **change: Any) -> None:
        line = {"at": time.time(), "operations": self.status.operations, **change}
        self._counted_at = time.monotonic()
        self.status.apply(line)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if change:
            self._on_change()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._say()
        self._file.close()


class ProgressReader:
    """Follows a progress file that another process writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0
        self.status = Status()

    def read(self, after_each: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
        """The changes since the last call, taken over into `status`; a half-written last line waits.

        `after_each` is called after every single one, with `status` as it was then: what was over before anybody looked
        is told all the same.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                news = file.read()
        except FileNotFoundError:
            return []
        whole = news[: news.rfind(b"\n") + 1]
        self._position += len(whole)
        changes: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        for change in changes:
            self.status.apply(change)
            after_each()
        return changes
