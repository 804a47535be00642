"""Paired measurements: every round runs each contender once, in an order drawn anew, so drift hits all alike."""

import asyncio
import gc
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Call = Callable[[int], Awaitable[object]]
"""One operation; the argument is a running number, from which a contender derives its key."""

BOOTSTRAPS = 2_000


@dataclass(frozen=True, slots=True)
class Contender:
    """`exactness` says in a few words what the contender promises, so that speed is never shown alone."""

    name: str
    call: Call
    exactness: str = ""


@dataclass(frozen=True, slots=True)
class Lap:
    """Seconds per call of one contender in one round: on the clock, and of this process's CPU."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median of the paired ratios with a 95 % bootstrap interval of that median."""

    median: float
    low: float
    high: float
    rounds: int


async def race(
    contenders: Sequence[Contender], *, tasks: int, calls: int, rounds: int, seed: int = 1
) -> Mapping[str, list[Lap]]:
    """Laps by contender, one a round; `calls` operations a lap, spread over `tasks` concurrent loops.

    The first, uncounted round warms connections, scripts and caches.
    """
    laps: dict[str, list[Lap]] = {contender.name: [] for contender in contenders}
    order, draw = list(contenders), random.Random(seed)
    for counted in [False] + [True] * rounds:
        draw.shuffle(order)
        for contender in order:
            lap = await _lap(contender.call, tasks=tasks, calls=calls)
            if counted:
                laps[contender.name].append(lap)
    return laps


async def _lap(call: Call, *, tasks: int, calls: int) -> Lap:
    async def loop(first: int) -> None:
        for number in range(first, calls, tasks):
            await call(number)

    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    if tasks == 1:
        await loop(0)
    else:
        await asyncio.gather(*(loop(first) for first in range(tasks)))
    return Lap((time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls)


def ratio(laps: Sequence[float], floor: Sequence[float]) -> Ratio:
    """Ratio of paired figures, round by round."""
    pairs = np.asarray(laps) / np.asarray(floor)
    draw = np.random.default_rng(7)
    medians = np.median(draw.choice(pairs, size=(BOOTSTRAPS, len(pairs))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return Ratio(float(np.median(pairs)), float(low), float(high), len(pairs))
