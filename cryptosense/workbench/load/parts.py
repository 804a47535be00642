"""How a generator's process hands over what it saw: a row an operation, a line a row."""

from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

Row = tuple[str, str, str, float | None, float, float, str, int | None, dict[str, Any], dict[str, Any]]
"""kind, actor, url, intended, invoked, completed (monotonic seconds), outcome, status, sent, got"""

COMPLETED = 5
"""The place of `completed` in a row."""


def write_part(path: Path, rows: list[Row]) -> None:
    """Writes the rows in order of completion."""
    with path.open("wb") as file:
        for row in sorted(rows, key=itemgetter(COMPLETED)):
            file.write(orjson.dumps(row) + b"\n")


def read_part(path: Path) -> Iterator[list[Any]]:
    """The rows, as lists."""
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)
