"""What other commands left in a run's folder, shown beside its experiments when it is there.

`cryptosense bench` leaves `bench.json`, `bench.svg` and `growth.svg` in the folder `bench`; the matrix of controls is
`controls.json` in the folder `controls`. They are read as documents: the workbench shares no code with the bench.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BENCH = "cryptosense.bench/1"
_CONTROLS = "cryptosense.controls/1"
_LARGEST_PICTURE = 300_000


@dataclass(frozen=True, slots=True)
class SpeedRow:
    """One contender in one row of the benchmark; `goal` and `reached` are told on the service's own line only."""

    item: str
    unit: str
    who: str
    figure: float
    low: float
    high: float
    goal: str
    reached: bool | None
    promises: str


@dataclass(frozen=True, slots=True)
class Speed:
    """`standing` and `growth` are data URLs, empty where there is none or it is too large for the page."""

    rows: tuple[SpeedRow, ...]
    goals: int
    reached: int
    standing: str
    growth: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One flawed service under the experiment that should catch it."""

    control: str
    contract: str
    flaw: str
    experiment: str
    caught: bool
    sentence: str


def read_speed(folder: Path) -> Speed | None:
    """The benchmark of the run's folder; None where none was put there, or it is of another shape."""
    document = _document(folder / "bench" / "bench.json", _BENCH)
    if document is None:
        return None
    try:
        rows = tuple(line for row in document["rows"] for line in _lines(row))
        told = [row["reached"] for row in document["rows"] if row["goal"] is not None]
    except (KeyError, TypeError):
        return None
    standing, growth = (_picture(folder / "bench" / name) for name in ("bench.svg", "growth.svg"))
    return Speed(rows, len(told), sum(map(bool, told)), standing, growth)


def read_trials(folder: Path) -> tuple[Trial, ...]:
    """The matrix of controls of the run's folder, those that were missed first; empty where there is none."""
    document = _document(folder / "controls" / "controls.json", _CONTROLS)
    if document is None:
        return ()
    names = ("control", "contract", "flaw", "experiment", "caught", "sentence")
    try:
        trials = [Trial(**{name: one[name] for name in names}) for one in document["controls"]]
    except (KeyError, TypeError):
        return ()
    return tuple(sorted(trials, key=lambda trial: trial.caught))


def _document(path: Path, schema: str) -> Mapping[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and document.get("schema") == schema else None


def _lines(row: Mapping[str, Any]) -> list[SpeedRow]:
    goal = row["goal"]
    told = "" if goal is None else f"{'≤' if goal['better'] == 'lower' else '≥'} {goal['figure']:g}"
    return [
        SpeedRow(
            item=row["item"] if place == 0 else "",
            unit=row["unit"] if place == 0 else "",
            who=entry["name"],
            figure=float(entry["figure"]["median"]),
            low=float(entry["figure"]["low"]),
            high=float(entry["figure"]["high"]),
            goal=told if place == 0 else "",
            reached=row["reached"] if place == 0 else None,
            promises=entry["exactness"],
        )
        for place, entry in enumerate(sorted(row["entries"], key=lambda entry: entry["name"] != "cryptosense"))
    ]


def _picture(path: Path) -> str:
    try:
        picture = path.read_bytes()
    except OSError:
        return ""
    if len(picture) > _LARGEST_PICTURE:
        return ""
    return f"data:image/svg+xml;base64,{base64.b64encode(picture).decode()}"
