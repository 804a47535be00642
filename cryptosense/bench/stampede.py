"""A stampede: cold callers of one key in several processes at once, each process a Cache of its own.

Run as a program it is one of those processes: `python -m cryptosense.bench.stampede PORT CALLERS` prints `ready`, waits
for a moment (monotonic seconds) on standard input, calls, and prints what it saw as JSON.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass

from cryptosense.bench.bench import PREFIX, Bench
from cryptosense.clock import SystemClock
from cryptosense.errors import CouldNotStart
from cryptosense.http.server import loop_factory
from cryptosense.services.cache import Cache, Freshness
from cryptosense.settings import RedisSettings
from cryptosense.state.catalog import open_redis
from cryptosense.state.contracts import CacheKey

CALLERS = 100
PROCESSES = 2
FETCH_MS = 200
LEAD_S = 0.2


@dataclass(frozen=True, slots=True)
class Stampede:
    """`last_ms`: from the common start to the last caller's answer; `commands`: all that the server processed."""

    fetches: int
    last_ms: float
    commands: int


async def stampede(bench: Bench) -> Stampede:
    """Runs the processes against the bench's server and counts there what they cost."""
    port = bench.url.rpartition(":")[2]
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cryptosense.bench.stampede", port, str(CALLERS // PROCESSES)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]
    for process in processes:
        if process.stdout is None or await process.stdout.readline() != b"ready\n":
            raise CouldNotStart("a process of the stampede did not come up")
    before = await _commands(bench)
    start = f"{time.monotonic() + LEAD_S}\n".encode()
    answers = await asyncio.gather(*(process.communicate(start) for process in processes))
    # The last INFO is a command of ours, not of theirs.
    commands = await _commands(bench) - before - 1
    seen = [json.loads(out) for out, _ in answers]
    return Stampede(
        fetches=sum(one["fetches"] for one in seen),
        last_ms=max(one["last_ms"] for one in seen),
        commands=commands,
    )


async def _commands(bench: Bench) -> int:
    return int((await bench.server.info("stats"))["total_commands_processed"])


async def _one_process(port: int, callers: int) -> None:
    opened = open_redis(
        RedisSettings(kind="standalone", nodes=(("127.0.0.1", port),)),
        prefix=PREFIX,
        budget_ms=5_000,
        client_name="stampede",
    )
    cache, fetches = Cache(opened.state.cache, SystemClock()), 0

    async def fetch() -> object:
        nonlocal fetches
        fetches += 1
        await asyncio.sleep(FETCH_MS / 1000)
        return [{"id": "bitcoin", "current_price": 1}]

    async def call() -> float:
        await cache.cached(CacheKey("bench", "stampede"), fetch, Freshness(fresh_ms=60_000))
        return time.monotonic()

    await opened.ping()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    start = float(await asyncio.to_thread(sys.stdin.readline))
    await asyncio.sleep(max(0.0, start - time.monotonic()))
    ended = await asyncio.gather(*(call() for _ in range(callers)))
    sys.stdout.write(json.dumps({"fetches": fetches, "last_ms": (max(ended) - start) * 1000}))
    await cache.aclose()
    await opened.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_one_process(int(sys.argv[1]), int(sys.argv[2])))
