"""The control matrix in the terminal: progress while it runs, then control × claim."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cryptosense.workbench.run.control_matrix import Outcome


class TrialWatch:
    """Says how each trial ended, and how many are left."""

    def __init__(self, console: Console, trials: int) -> None:
        self._console = console
        columns = (TextColumn("controls"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._progress.add_task("controls", total=trials)

    def ended(self, outcome: Outcome) -> None:
        """One line a trial."""
        word = "caught" if outcome.caught else "MISSED"
        self._progress.advance(self._task)
        self._console.print(f"{word}  {outcome.trial.suspect.name:12} {outcome.seconds:4.0f} s  {outcome.sentence}")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()


def print_matrix(console: Console, outcomes: Sequence[Outcome]) -> None:
    """A row per control: which of the claims meant for it convicted it, and what failed besides and did not count."""
    table = Table(title="Flawed services and the claims that must convict them")
    for title in ("control", "verdict", "convicted by", "meant, and did not", "besides"):
        table.add_column(title)
    for outcome in outcomes:
        convicting = [
            f"{outcome.trial.experiment}/{claim.id}" for claim in outcome.meant if claim.verdict == "VIOLATED"
        ]
        others = [f"{claim.id} ({claim.verdict})" for claim in outcome.meant if claim.verdict != "VIOLATED"]
        table.add_row(
            outcome.trial.suspect.name,
            "caught" if outcome.caught else "MISSED",
            ", ".join(convicting) or "–",
            ", ".join(others) or "–",
            ", ".join(outcome.besides) or "–",
        )
    console.print(table)
    missed = [outcome.trial.suspect.name for outcome in outcomes if not outcome.caught]
    console.print(
        f"{len(outcomes) - len(missed)} of {len(outcomes)} caught"
        + (f"; MISSED: {', '.join(missed)}" if missed else "")
    )
