"""`cryptosense bench`: measures, shows, saves, and says whether anything got slower."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from cryptosense.bench.bench import Bench, open_bench
from cryptosense.bench.cache import cache_rows
from cryptosense.bench.charts import draw_growth, draw_standing
from cryptosense.bench.csrf import csrf_rows
from cryptosense.bench.growth import bends, growth_points
from cryptosense.bench.limiter import limiter_rows
from cryptosense.bench.peers import missing_peers
from cryptosense.bench.regression import load_baseline, regressions, unmeasured, write_baseline
from cryptosense.bench.report import as_document, show, write_json
from cryptosense.bench.rows import Row
from cryptosense.bench.web import web_rows
from cryptosense.errors import UsageError
from cryptosense.http.server import loop_factory

GROUPS: dict[str, Callable[[Bench], Awaitable[list[Row]]]] = {
    "limiter": limiter_rows,
    "csrf": csrf_rows,
    "cache": cache_rows,
    "web": web_rows,
}
RESULT = "bench.json"
STANDING = "bench.svg"
GROWTH = "growth.svg"


@dataclass(frozen=True, slots=True)
class Options:
    """`groups`: which rows (all of them when empty). `check`: hold them against the committed baseline. `keep`: make
    them the baseline.
    """

    groups: tuple[str, ...] = ()
    quick: bool = False
    check: bool = False
    keep: bool = False
    growth: bool = True
    out: Path | None = None


def run_bench(options: Options, console: Console) -> int:
    """The exit code: 0, or 1 where `check` found something slower.

    Raises:
        UsageError: there is no such group of rows.
        CouldNotStart: a server or an app did not come up.
    """
    unknown = [group for group in options.groups if group not in GROUPS]
    if unknown:
        raise UsageError(f"there are no rows called {unknown[0]!r}; there are {', '.join(GROUPS)}")
    absent = missing_peers()
    if absent:
        console.print(f"Peers left out, since not installed: {', '.join(absent)}. `pip install 'cryptosense[peers]'`")
    started = time.monotonic()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:  # the loop that the service runs on
        rows, points = runner.run(_measure(options, console))
    show(rows, console)
    bent = bends(points)
    if points:
        console.print("Bends as the work grows: " + (", ".join(bent) or "none"))
    if options.out is not None:
        _save(options.out, rows, points, time.monotonic() - started)
    if options.keep:
        write_baseline(rows)
    return _checked(rows, options.groups or tuple(GROUPS), console) if options.check else 0


def _checked(rows: Sequence[Row], groups: Sequence[str], console: Console) -> int:
    baseline = load_baseline()
    worse, absent = regressions(rows, baseline), unmeasured(rows, baseline, groups)
    for regression in worse:
        console.print(f"slower than before: {regression}")
    for name in absent:
        console.print(f"not measured, though the baseline has it: {name}; keep a new one if it was renamed")
    return 1 if worse or absent else 0


async def _measure(options: Options, console: Console) -> tuple[list[Row], list[dict[str, Any]]]:
    calls, rounds = (1_500, 5) if options.quick else (4_000, 15)
    rows: list[Row] = []
    points: list[dict[str, Any]] = []
    async with open_bench(calls=calls, rounds=rounds) as bench:
        for group in options.groups or GROUPS:
            with _told(console, f"measuring {group}"):
                rows += [replace(row, group=group) for row in await GROUPS[group](bench)]
        if options.growth and not options.groups:
            with _told(console, "measuring how cost grows"):
                points = await growth_points(bench, full=not options.quick)
    return rows, points


def _told(console: Console, doing: str) -> AbstractContextManager[object]:
    """Says what is being done: alive on a terminal, as a line anywhere else."""
    if console.is_terminal:
        return console.status(doing)
    console.print(doing)
    return nullcontext()


def _save(folder: Path, rows: Sequence[Row], points: Sequence[dict[str, Any]], seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(as_document(rows, points, seconds=seconds), folder / RESULT)
    draw_standing(rows).savefig(folder / STANDING)
    if points:
        draw_growth(points).savefig(folder / GROWTH)
