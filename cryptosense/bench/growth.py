"""Cost as the work grows: identities, concurrency, payload and processes, each beside the floor on the same axis.

A point's `ratio` is our time per operation over the floor's, measured in the same rounds; where it stays level while
the axis grows, nothing bends that the floor does not bend.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cryptosense.bench.bench import Bench
from cryptosense.bench.race import Contender, race, ratio
from cryptosense.clock import SystemClock
from cryptosense.services.cache import Cache, Freshness
from cryptosense.state.contracts import CacheKey, Quota

QUOTA = Quota(100, 60_000)
TASKS = 64
BEND = 1.5
"""A ratio that grows by more than this along an axis bends."""


@dataclass(frozen=True, slots=True)
class Point:
    """`value` on `axis`; `ratio` with its interval; `bytes` per identity where the axis is identities."""

    axis: str
    value: int
    ratio: float
    low: float
    high: float
    bytes: float | None = None


async def growth_points(bench: Bench, *, full: bool) -> list[dict[str, Any]]:
    """Every axis; the quick form stops early on the long ones."""
    identities = (1_000, 10_000, 100_000, 1_000_000) if full else (1_000, 10_000)
    concurrency = (1, 8, 64, 256, 512) if full else (1, 64, 512)
    payloads = (1_000, 10_000, 100_000, 1_000_000) if full else (1_000, 1_000_000)
    processes = (1, 2, 3, 4) if full else (1, 2)
    points = [point async for point in _identities(bench, identities)]
    points += [point async for point in _concurrency(bench, concurrency)]
    points += [point async for point in _payloads(bench, payloads)]
    points += [point async for point in _processes(bench, processes)]
    return [asdict(point) for point in points]


def bends(points: Sequence[dict[str, Any]]) -> list[str]:
    """The axes along which the ratio, intervals considered, grows by more than `BEND`."""
    axes = dict.fromkeys(point["axis"] for point in points)
    return [axis for axis in axes if _bends([point for point in points if point["axis"] == axis])]


def _bends(points: Sequence[dict[str, Any]]) -> bool:
    lowest = min(point["high"] for point in points)
    return any(point["low"] > lowest * BEND for point in points if point["value"] > points[0]["value"])


def _decider(bench: Bench, identities: int) -> Contender:
    draw = np.random.default_rng(11).integers(0, identities, size=100_003)

    async def call(number: int) -> object:
        client = f"grow:{draw[number % len(draw)]}"
        return await bench.state.windows.admit(client, QUOTA, secrets.token_urlsafe(9))

    return Contender("ours", call)


async def _identities(bench: Bench, sizes: Sequence[int]) -> AsyncIterator[Point]:
    filled, before = 0, await _used(bench)
    for size in sizes:
        await _fill(bench, filled, size)
        filled = size
        used = (await _used(bench) - before) / size
        yield await _point(bench, "identities", size, _decider(bench, size), bench.floor, tasks=TASKS, bytes_each=used)


async def _fill(bench: Bench, first: int, last: int) -> None:
    async def some(start: int) -> None:
        for number in range(start, last, TASKS * 4):
            await bench.state.windows.admit(f"grow:{number}", QUOTA, secrets.token_urlsafe(9))

    await asyncio.gather(*(some(first + offset) for offset in range(min(TASKS * 4, last - first))))


async def _used(bench: Bench) -> int:
    return int((await bench.server.info("memory"))["used_memory"])


async def _concurrency(bench: Bench, sizes: Sequence[int]) -> AsyncIterator[Point]:
    # The plain client's pool holds 100 connections and raises beyond; its floor is measured at what it can do.
    for size in sizes:
        yield await _point(
            bench, "concurrency", size, _decider(bench, 1_000), bench.floor, tasks=size, floor_tasks=min(size, 64)
        )


async def _payloads(bench: Bench, sizes: Sequence[int]) -> AsyncIterator[Point]:
    cache = Cache(bench.state.cache, SystemClock(), local_bytes=0)
    for size in sizes:
        body = json.dumps(secrets.token_hex(size // 2)).encode()
        await bench.server.set(f"plan:payload:{size}", body)

        async def floor(_number: int, size: int = size) -> object:
            return await bench.server.get(f"plan:payload:{size}")

        async def ours(_number: int, size: int = size, body: bytes = body) -> object:
            async def fetch() -> object:
                return body

            return await cache.cached(CacheKey("bench", f"payload-{size}"), fetch, Freshness(fresh_ms=600_000))

        await ours(0)
        yield await _point(bench, "payload bytes", size, Contender("ours", ours), Contender("floor", floor), tasks=8)
    await cache.aclose()


async def _processes(bench: Bench, counts: Sequence[int]) -> AsyncIterator[Point]:
    """Several processes decide at once; both sides share the machine's cores, so the ratio and not the rate counts."""
    for count in counts:
        pairs = []
        for _ in range(3):
            ours, floor = await _together(bench, count, "ours"), await _together(bench, count, "floor")
            pairs.append((ours, floor))
        found = ratio([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        yield Point("processes", count, found.median, found.low, found.high)


async def _together(bench: Bench, count: int, who: str) -> float:
    """Mean seconds per operation of `count` processes that work at the same time."""
    port = bench.url.rpartition(":")[2]
    command = (sys.executable, "-m", "cryptosense.bench.worker", port, who, str(bench.calls))
    processes = [
        await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        for _ in range(count)
    ]
    for process in processes:
        if process.stdout is not None:
            await process.stdout.readline()
    answers = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    return float(np.mean([float(out) for out, _ in answers]))


async def _point(
    bench: Bench,
    axis: str,
    value: int,
    ours: Contender,
    floor: Contender,
    *,
    tasks: int,
    floor_tasks: int | None = None,
    bytes_each: float | None = None,
) -> Point:
    """One paired race; where the floor runs with fewer tasks than we do, the two race in turn."""
    calls = max(bench.calls // 2, tasks * 4)
    if floor_tasks in (None, tasks):
        laps = await race(
            [Contender("floor", floor.call), Contender("ours", ours.call)],
            tasks=tasks,
            calls=calls,
            rounds=bench.rounds,
        )
        found = ratio([lap.wall for lap in laps["ours"]], [lap.wall for lap in laps["floor"]])
    else:
        mine, theirs = [], []
        for _ in range(bench.rounds):
            theirs += (await race([floor], tasks=floor_tasks or tasks, calls=calls, rounds=1))[floor.name]
            mine += (await race([ours], tasks=tasks, calls=calls, rounds=1))[ours.name]
        found = ratio([lap.wall for lap in mine], [lap.wall for lap in theirs])
    return Point(axis, value, found.median, found.low, found.high, bytes_each)
