"""One row of the table: what was measured, against which floor, and whether the goal is reached."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from cryptosense.bench.race import Ratio

OURS = "cryptosense"


class Better(StrEnum):
    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, slots=True)
class Goal:
    """The figure to reach, from measurements of what peers reach and of the floor."""

    figure: float
    better: Better = Better.LOWER

    def reached(self, figure: float) -> bool:
        return figure <= self.figure if self.better is Better.LOWER else figure >= self.figure


@dataclass(frozen=True, slots=True)
class Entry:
    """One contender's figure in a row; an exact figure (a count, bytes) is a ratio without width."""

    name: str
    figure: Ratio
    exactness: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """`unit` names the floor that the figures are ratios of, or the plain unit of an exact figure; `group` is what the
    command calls the rows that are measured together.
    """

    id: str
    item: str
    unit: str
    entries: Sequence[Entry]
    goal: Goal | None = None
    note: str = ""
    group: str = ""

    @property
    def ours(self) -> Entry:
        return next(entry for entry in self.entries if entry.name == OURS)

    @property
    def carries_over(self) -> bool:
        """Whether the figure means the same on another machine, or on this one when it is busy: no time does."""
        return self.unit not in {"µs", "ms"}

    @property
    def reached(self) -> bool | None:
        """Whether our median reaches the goal; None for a row that has no goal."""
        return None if self.goal is None else self.goal.reached(self.ours.figure.median)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "reached": self.reached}


def exact(figure: float, rounds: int = 1) -> Ratio:
    return Ratio(figure, figure, figure, rounds)
