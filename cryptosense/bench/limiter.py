"""Limiter decisions by algorithm: serial and concurrent, on the clock and in the caller's CPU; bytes per client."""

import secrets
from collections.abc import Mapping, Sequence

from cryptosense.bench import peers
from cryptosense.bench.bench import Bench
from cryptosense.bench.race import Call, Contender, Lap, race, ratio
from cryptosense.bench.rows import OURS, Entry, Goal, Row, exact
from cryptosense.state.contracts import Algorithm, Quota, WindowState

LIMIT = 100
WINDOW_MS = 60_000
DENIED = 1_000
EXACTNESS = {
    Algorithm.LOG: "exact",
    Algorithm.COUNTER: "up to 94 of 50 in the worst window",
    Algorithm.GCRA: "up to 99 of 50 in the worst window",
}


def decide(windows: WindowState, algorithm: Algorithm) -> Call:
    """One decision as the service asks for it: a fresh decision id, the client's key, the quota."""
    quota = Quota(LIMIT, WINDOW_MS, algorithm)

    async def call(number: int) -> object:
        return await windows.admit(f"{algorithm}:{peers.client_of(number)}", quota, secrets.token_urlsafe(9))

    return call


async def limiter_rows(bench: Bench) -> list[Row]:
    """Decisions beside peers, against an `EVALSHA 'return 1'` through redis-py."""
    ours = [
        Contender(
            OURS if algorithm is Algorithm.LOG else f"{OURS} {algorithm}",
            decide(bench.state.windows, algorithm),
            EXACTNESS[algorithm],
        )
        for algorithm in Algorithm
    ]
    contenders = [bench.floor, *ours, *_peers(bench)]
    concurrent = await race(contenders, tasks=64, calls=bench.calls, rounds=bench.rounds)
    serial = await race(contenders, tasks=1, calls=max(200, bench.calls // 8), rounds=bench.rounds)
    rows = [
        _row("limiter-64", "limiter decision, exact log, 64 tasks", Goal(0.45), contenders, concurrent),
        _row("limiter-1", "limiter decision, exact log, serial", Goal(1.25), contenders, serial),
        _cpu_row(contenders, concurrent),
    ]
    return [*rows, *await _bytes_rows(bench)]


def _peers(bench: Bench) -> Sequence[Contender]:
    plan = Contender("plan's MULTI", peers.plan_limiter(bench.server, LIMIT, WINDOW_MS), "over-admits; denials count")
    if bench.without_peers:
        return [plan]
    return [
        plan,
        Contender("limits", peers.limits_limiter(bench.url, LIMIT, WINDOW_MS), "exact on the caller's clock"),
        Contender(
            "throttled-py",
            peers.throttled_limiter(bench.url, "sliding_window", LIMIT, WINDOW_MS),
            EXACTNESS[Algorithm.COUNTER],
        ),
        Contender(
            "throttled-py gcra", peers.throttled_limiter(bench.url, "gcra", LIMIT, WINDOW_MS), EXACTNESS[Algorithm.GCRA]
        ),
    ]


def _row(name: str, item: str, goal: Goal, contenders: Sequence[Contender], laps: Mapping[str, Sequence[Lap]]) -> Row:
    floor = [lap.wall for lap in laps[contenders[0].name]]
    entries = [
        Entry(contender.name, ratio([lap.wall for lap in laps[contender.name]], floor), contender.exactness)
        for contender in contenders[1:]
    ]
    return Row(name, item, "× one EVALSHA", entries, goal)


def _cpu_row(contenders: Sequence[Contender], laps: Mapping[str, Sequence[Lap]]) -> Row:
    floor = [lap.cpu for lap in laps[contenders[0].name]]
    entries = [
        Entry(contender.name, ratio([lap.cpu for lap in laps[contender.name]], floor), contender.exactness)
        for contender in contenders[1:]
    ]
    # 20 µs where one EVALSHA through redis-py costs 50 to 60 µs of CPU on the machine that the goal was set on.
    return Row("limiter-cpu", "client CPU per decision, 64 tasks", "× one EVALSHA", entries, Goal(0.36))


async def _bytes_rows(bench: Bench) -> list[Row]:
    """MEMORY USAGE of one client's key at its limit, and after a thousand denials."""
    entries = []
    for algorithm in Algorithm:
        client, quota = f"sized-{algorithm}", Quota(LIMIT, WINDOW_MS, algorithm)
        used = []
        for requests in (LIMIT, DENIED):
            for _ in range(requests):
                await bench.state.windows.admit(client, quota, secrets.token_urlsafe(9))
            used.append(await bench.bytes_of(client))
        grown = "" if used[0] == used[1] else f", {used[1]} after {DENIED} denials"
        name = OURS if algorithm is Algorithm.LOG else f"{OURS} {algorithm}"
        entries.append(Entry(name, exact(max(used)), EXACTNESS[algorithm] + grown))
    small = [Entry(OURS, max(entries[1:], key=lambda entry: entry.figure.median).figure)]
    return [
        Row("limiter-bytes", "bytes of a client at 100 of 100, also after 1000 denials", "bytes", entries, Goal(2_100)),
        Row("limiter-bytes-small", "the same, the larger of counter and GCRA", "bytes", small, Goal(100)),
    ]
