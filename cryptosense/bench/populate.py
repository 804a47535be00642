"""Puts identities into a store as the service itself would, and says what each costs there.

    python -m cryptosense.bench.populate

speaks JSON, one object a line. In: first `{"redis_url": ...}`, then any number of
`{"what": [KIND, ...], "first": i, "last": j, "each": n}`, which puts identities i to j (j left out) in, n operations of
each kind for each. Out: `{"ready": true, "primaries": n}`, then for each line

    {"identities", "seconds", "bytes", "scripts", "server_us", "keys": [of each primary], "key_bytes": {KIND: bytes}}

where bytes, scripts and the server's own time in µs are the growth over all primaries since it was ready, `keys` is
what each primary holds, and `key_bytes` the server's own figure for one identity's keys of a kind, from a sample.

A line `{"control": KIND, "clients": n, "each": m}` puts in what another way of keeping things would (`as_planned.py`)
and answers `{"bytes", "keys": [of each primary]}`, of these alone.

It ends when its input does, whatever it is doing, so it cannot outlive the run that started it. It removes nothing.
Kinds: `csrf`, `session`, and a client of a limiter by its algorithm, `limit-log`, `limit-counter`, `limit-gcra`;
`limit-full` is another client of the log, to be filled with `each`.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import redis.asyncio

from cryptosense.bench.as_planned import PREFIX, put_in_as_planned
from cryptosense.errors import UsageError
from cryptosense.settings import RedisSettings, Settings
from cryptosense.state.catalog import open_redis
from cryptosense.state.contracts import Algorithm, Quota, SessionRecord, StateSet

AT_ONCE = 512
BUDGET_MS = 20_000.0
"""The store may be loaded to its limit here; a call that waits its turn has not failed."""

_DAY_MS = 86_400_000
_LIMIT, _WINDOW_MS = 100, 900_000

SAMPLE = 300
"""Keys of a primary whose size is asked for."""

Operation = Callable[[StateSet, int, int], Awaitable[None]]


async def _csrf(state: StateSet, identity: int, _turn: int) -> None:
    await state.csrf.current(_hex(identity, 32), _hex(identity, 64), ttl_ms=_DAY_MS)


async def _session(state: StateSet, identity: int, _turn: int) -> None:
    record = SessionRecord(_hex(identity, 32), _hex(-identity, 32), _hex(identity, 64), 1_700_000_000_000)
    await state.sessions.open(record, ttl_ms=30 * _DAY_MS)


def _limited(algorithm: Algorithm, name: str = "user") -> Operation:
    quota = Quota(_LIMIT, _WINDOW_MS, algorithm)

    async def admit(state: StateSet, identity: int, turn: int) -> None:
        await state.windows.admit(f"{name}-{_hex(identity, 32)}", quota, _hex(identity * 4096 + turn, 12))

    return admit


KINDS: Mapping[str, Operation] = {
    "csrf": _csrf,
    "session": _session,
    "limit-log": _limited(Algorithm.LOG),
    "limit-full": _limited(Algorithm.LOG, "full"),
    "limit-counter": _limited(Algorithm.COUNTER),
    "limit-gcra": _limited(Algorithm.GCRA),
}


_PATTERNS = {
    "csrf": "cs:csrf:*",
    "session": "cs:session:*",
    "limit-log": "cs:rate:log:{user-*",
    "limit-full": "cs:rate:log:{full-*",
    "limit-counter": "cs:rate:counter:*",
    "limit-gcra": "cs:rate:gcra:*",
}
_KEYS_EACH = {"session": 2}  # the record and the user's index


def _hex(number: int, digits: int) -> str:
    """As long and as random as what the service draws, and the same in every run."""
    return sha256(str(number).encode()).hexdigest()[:digits]


@dataclass(frozen=True, slots=True)
class Cost:
    """Totals over all primaries: bytes of data, scripts run, the server's own time for them in µs; keys by primary."""

    bytes: int
    scripts: int
    server_us: float
    keys: tuple[int, ...]


class Primaries:
    """Plain clients of every server that takes writes."""

    def __init__(self, clients: Sequence[redis.asyncio.Redis]) -> None:
        self.clients = clients

    async def cost(self) -> Cost:
        each = await asyncio.gather(*(_cost_of(client) for client in self.clients))
        return Cost(
            sum(one.bytes for one in each),
            sum(one.scripts for one in each),
            sum(one.server_us for one in each),
            tuple(one.keys[0] for one in each),
        )

    async def keys_under(self, prefix: str) -> list[int]:
        """How many keys with the prefix each primary holds."""
        return [sum([1 async for _ in client.scan_iter(match=f"{prefix}*", count=1_000)]) for client in self.clients]

    async def key_bytes(self, kinds: Sequence[str]) -> dict[str, float]:
        """What one identity's keys of each kind take, by `MEMORY USAGE` of a sample."""
        sizes: dict[str, list[int]] = {kind: [] for kind in kinds}
        for client in self.clients:
            for kind in kinds:
                sizes[kind].extend(await _sizes(client, _PATTERNS[kind]))
        return {kind: _KEYS_EACH.get(kind, 1) * sum(found) / len(found) for kind, found in sizes.items() if found}


# What a server holds besides data, and what grows with traffic rather than with identities.
_NOT_DATA = (
    "mem_clients_normal",
    "mem_clients_slaves",
    "mem_replication_backlog",
    "mem_aof_buffer",
    "mem_cluster_links",
)


async def _cost_of(client: redis.asyncio.Redis) -> Cost:
    memory = await client.info("memory")
    stats = await client.info("commandstats")
    ran = [figures for name, figures in stats.items() if name in {"cmdstat_evalsha", "cmdstat_eval", "cmdstat_fcall"}]
    return Cost(
        int(memory["used_memory"]) - sum(int(memory.get(name, 0)) for name in _NOT_DATA),
        sum(int(figures["calls"]) for figures in ran),
        sum(float(figures["usec"]) for figures in ran),
        (int(await client.dbsize()),),
    )


async def _sizes(client: redis.asyncio.Redis, pattern: str) -> list[int]:
    names = []
    async for name in client.scan_iter(match=pattern, count=1_000):
        names.append(name)
        if len(names) >= SAMPLE:
            break
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.memory_usage(name, samples=0)
    return [int(size) for size in await pipeline.execute() if size is not None]


async def primaries_of(address: RedisSettings, stack: AsyncExitStack) -> Primaries:
    """Clients of the one server, or of every shard's primary.

    Raises:
        UsageError: the address is a Sentinel's, whose data lie on one server as a single one's do.
    """
    if address.kind == "sentinel":
        raise UsageError("measure a single server or a cluster; what lies behind Sentinel is a single server")
    nodes = list(address.nodes)
    if address.kind == "cluster":
        first = await stack.enter_async_context(_client(address, *nodes[0]))
        slots: Any = first.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        nodes = sorted({(str(entry[2][0]), int(entry[2][1])) for entry in _entries(await slots)})
    return Primaries([await stack.enter_async_context(_client(address, host, port)) for host, port in nodes])


def _entries(slots: Any) -> list[list[Any]]:
    """`CLUSTER SLOTS` as the server lists it, whichever shape the driver gives it."""
    if isinstance(slots, dict):
        return [[start, end, places["primary"]] for (start, end), places in slots.items()]
    return list(slots)


def _client(address: RedisSettings, host: str, port: int) -> redis.asyncio.Redis:
    return redis.asyncio.Redis(
        host=host, port=port, username=address.username, password=address.password, decode_responses=True
    )


async def put_in(state: StateSet, what: str, first: int, last: int, each: int) -> float:
    """Does it, `AT_ONCE` identities at a time; the seconds that it took.

    Raises:
        UsageError: there is no such kind.
        StateError: the store did not take it.
    """
    if what not in KINDS:
        raise UsageError(f"there is no kind {what!r}; there are {', '.join(KINDS)}")
    operation = KINDS[what]
    begun = time.monotonic()
    for start in range(first, last, AT_ONCE):
        identities = range(start, min(start + AT_ONCE, last))
        for turn in range(each):
            await asyncio.gather(*(operation(state, identity, turn) for identity in identities))
    return time.monotonic() - begun


async def serve(lines: asyncio.StreamReader) -> None:
    """Answers line after line until the input ends."""
    url = json.loads(await lines.readline())["redis_url"]
    # The service's own reading of the address; the secret signs nothing here.
    address = Settings.from_environment({"REDIS_URL": url, "SIGNING_SECRET": "0" * 64}).redis
    if address is None:
        raise UsageError("redis_url is empty")
    async with AsyncExitStack() as stack:
        primaries = await primaries_of(address, stack)
        opened = open_redis(address, budget_ms=BUDGET_MS, client_name="cryptosense-populate")
        stack.push_async_callback(opened.close)
        if not await opened.wait_ready(10.0):
            raise UsageError("the store does not answer")
        _say({"ready": True, "primaries": len(primaries.clients)})
        before = await primaries.cost()
        while line := await lines.readline():
            asked = json.loads(line)
            if "control" in asked:
                sizes = await put_in_as_planned(
                    primaries.clients, asked["control"], int(asked["clients"]), int(asked["each"])
                )
                _say({**sizes, "keys": await primaries.keys_under(PREFIX)})
            else:
                _say(await _answer(opened.state, primaries, before, asked))


async def _answer(state: StateSet, primaries: Primaries, before: Cost, asked: Mapping[str, Any]) -> dict[str, Any]:
    kinds, first, last = [str(kind) for kind in asked["what"]], int(asked["first"]), int(asked["last"])
    seconds = 0.0
    for kind in kinds:
        seconds += await put_in(state, kind, first, last, int(asked.get("each", 1)))
    after = await primaries.cost()
    return {
        "identities": last - first,
        "seconds": seconds,
        "bytes": after.bytes - before.bytes,
        "scripts": after.scripts - before.scripts,
        "server_us": after.server_us - before.server_us,
        "keys": list(after.keys),
        "key_bytes": await primaries.key_bytes(kinds),
    }


def _say(answer: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Serves standard input, and stops at its end even in the middle of an answer."""
    loop = asyncio.get_running_loop()
    arriving = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(arriving), sys.stdin)
    lines = asyncio.StreamReader()
    serving = asyncio.create_task(serve(lines))

    async def pass_on() -> None:
        while line := await arriving.readline():
            lines.feed_data(line)
        lines.feed_eof()
        serving.cancel()

    passing = asyncio.create_task(pass_on())
    try:
        await asyncio.wait({serving, passing}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done() and not serving.cancelled():
            serving.result()
    finally:
        passing.cancel()
        serving.cancel()
        await asyncio.gather(passing, serving, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
