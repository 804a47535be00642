"""Whole requests: the limiter on a bare route and a cached list beside prebuilt bytes, on real servers.

Capacity is requests per second of the server's own CPU: the client runs beside it on the same machine and its cost
must not count, and a server that waits for nothing but its CPU serves at just that rate.
"""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from cryptosense.bench.bench import Bench
from cryptosense.bench.hammer import Volley, fire, request_bytes
from cryptosense.bench.race import ratio
from cryptosense.bench.rows import OURS, Better, Entry, Goal, Row
from cryptosense.errors import CouldNotStart

CONNECTIONS = 32
IDENTITIES = 4_000
WARM = 64
SIZING_S = 0.1
LAP_S = 0.8
NAMES = {
    "limited": (OURS, "exact"),
    "slowapi": ("slowapi", "exact on the caller's clock"),
    "throttled": ("throttled-py", "up to 94 of 50 in the worst window"),
    "list-cached": (OURS, "confirmed with Redis each time"),
    "list-fastapi-cache": ("fastapi-cache2", "no single flight"),
}


async def web_rows(bench: Bench) -> list[Row]:
    """Requests per second of server CPU, ours and the peers', as shares of the floor's."""
    limiters = ["limited"] if bench.without_peers else ["limited", "slowapi", "throttled"]
    caches = ["list-cached"] if bench.without_peers else ["list-cached", "list-fastapi-cache"]
    lists = ["list-bytes", *caches]
    return [
        await _row(bench, "http-limited", "HTTP with limiter", unit="× a bare route", apps=["bare", *limiters]),
        await _row(bench, "http-list", "HTTP, cached 223 KB list", unit="× prebuilt bytes", apps=lists, gzip=True),
    ]


async def _row(bench: Bench, name: str, item: str, *, unit: str, apps: Sequence[str], gzip: bool = False) -> Row:
    requests = _requests(gzip=gzip)
    rates: dict[str, list[float]] = {app: [] for app in apps}
    draw = random.Random(5)
    async with _serving(bench, apps) as ports:
        counts = {app: await _count_for_a_lap(app, requests, ports[app]) for app in apps}
        for _ in range(bench.rounds):
            for app in draw.sample(apps, len(apps)):
                volley = await _volley(app, requests, ports[app], counts[app])
                rates[app].append(volley.answered / volley.server_cpu)
    entries = [Entry(NAMES[app][0], ratio(rates[app], rates[apps[0]]), NAMES[app][1]) for app in apps[1:]]
    return Row(name, item, unit, entries, Goal(0.80, Better.HIGHER))


async def _count_for_a_lap(app: str, requests: Sequence[bytes], place: tuple[int, int]) -> int:
    """Requests that keep the server busy for about `LAP_S`: its CPU time is told in ticks of 10 ms.

    Judged when it is warm: by its first requests, which fill a cache, an app got a fifth of the lap and errors of 7 %.
    """
    await _volley(app, requests, place, WARM)
    count = WARM
    while (sizing := await _volley(app, requests, place, count)).server_cpu < SIZING_S:
        count *= 2
    return round(count / sizing.server_cpu * LAP_S)


async def _volley(app: str, requests: Sequence[bytes], place: tuple[int, int], count: int) -> Volley:
    port, pid = place
    volley = await fire(requests, port, pid=pid, connections=CONNECTIONS, count=count)
    if set(volley.statuses) != {200}:
        raise CouldNotStart(f"the app {app} answered {dict(volley.statuses)}")
    return volley


def _requests(*, gzip: bool) -> list[bytes]:
    """One request for each of many clients, so that no limit is met."""
    coding = {"Accept-Encoding": "gzip"} if gzip else {}
    return [
        request_bytes("/", {"X-Forwarded-For": f"10.1.{number // 250}.{number % 250 + 1}", **coding})
        for number in range(IDENTITIES)
    ]


@asynccontextmanager
async def _serving(bench: Bench, apps: Sequence[str]) -> AsyncIterator[dict[str, tuple[int, int]]]:
    """Every app in a process of its own: its port and its process id."""
    processes = {
        app: await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cryptosense.bench.apps", app, bench.url), stdout=asyncio.subprocess.PIPE
        )
        for app in apps
    }
    try:
        ports = {}
        for app, process in processes.items():
            line = await process.stdout.readline() if process.stdout else b""
            if not line.strip().isdigit():
                raise CouldNotStart(f"the app {app} did not come up")
            ports[app] = (int(line), process.pid)
        yield ports
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.terminate()
        await asyncio.gather(*(process.wait() for process in processes.values()))
