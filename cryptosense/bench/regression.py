"""Whether today's ratios are worse than the committed ones, beyond their intervals and a minimum effect."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptosense.bench.rows import Better, Row
from cryptosense.errors import UsageError

BASELINE = Path(__file__).with_name("baseline.json")
MINIMUM_EFFECT = 0.25
"""A ratio must be worse by a quarter: machines differ in what a round trip costs beside a computation."""


@dataclass(frozen=True, slots=True)
class Regression:
    row: str
    was: float
    now: float

    def __str__(self) -> str:
        return f"{self.row}: was {self.was:.3g}, is {self.now:.3g}"


def regressions(rows: Sequence[Row], baseline: Mapping[str, Mapping[str, Any]]) -> list[Regression]:
    """The rows that got worse: the whole interval is worse than the baseline's whole interval by the minimum effect.

    Ratios, counts and bytes are held against the baseline; a time of one machine is not.
    """
    found = []
    for row in rows:
        before = baseline.get(row.id)
        if before is None or row.goal is None or not row.carries_over:
            continue
        now = row.ours.figure
        if row.goal.better is Better.LOWER:
            worse = now.low > before["high"] * (1 + MINIMUM_EFFECT)
        else:
            worse = now.high < before["low"] * (1 - MINIMUM_EFFECT)
        if worse:
            found.append(Regression(row.id, before["median"], now.median))
    return found


def unmeasured(rows: Sequence[Row], baseline: Mapping[str, Mapping[str, Any]], groups: Sequence[str]) -> list[str]:
    """The rows of those groups that the baseline has and nobody measured: a row that is gone cannot get worse."""
    measured = {row.id for row in rows}
    return [name for name, before in baseline.items() if before["group"] in groups and name not in measured]


def load_baseline(path: Path = BASELINE) -> Mapping[str, Mapping[str, Any]]:
    """The committed ratios by row.

    Raises:
        UsageError: there are none yet.
    """
    if not path.is_file():
        raise UsageError("there is no baseline to hold these ratios against; make one with `cryptosense bench --keep`")
    found: Mapping[str, Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write_baseline(rows: Sequence[Row], path: Path = BASELINE) -> None:
    """Makes these rows the ones that later ones are held against."""
    kept = {
        row.id: {
            "group": row.group,
            "median": row.ours.figure.median,
            "low": row.ours.figure.low,
            "high": row.ours.figure.high,
        }
        for row in rows
        if row.goal is not None and row.carries_over
    }
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
