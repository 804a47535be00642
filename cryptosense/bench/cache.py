"""Cache hits on a list of 250 coins, as bytes and decoded, and what a stampede costs."""

import json
from collections.abc import Mapping

import orjson

from cryptosense.bench import peers
from cryptosense.bench.bench import Bench
from cryptosense.bench.coins import coin_list
from cryptosense.bench.race import Contender, Lap, race, ratio
from cryptosense.bench.rows import OURS, Entry, Goal, Row, exact
from cryptosense.bench.stampede import CALLERS, FETCH_MS, PROCESSES, stampede
from cryptosense.clock import SystemClock
from cryptosense.services.cache import Cache, Freshness
from cryptosense.state.contracts import CacheKey


async def cache_rows(bench: Bench) -> list[Row]:
    """Hits against the plan's GET + `json.loads` of the same list, and one stampede of two processes."""
    rows = coin_list()
    await bench.server.set("plan:list", json.dumps(rows))
    cache = Cache(bench.state.cache, SystemClock())
    contenders = [
        Contender("GET + json.loads", peers.get_and_parse(bench.server, "plan:list"), "decoded"),
        _hit(OURS, cache, Freshness(fresh_ms=600_000), "bytes, confirmed with Redis each time"),
        _decoded(cache),
        _hit(f"{OURS} in-process", cache, Freshness(fresh_ms=600_000, trust_ms=60_000), "bytes, unconfirmed"),
    ]
    if not bench.without_peers:
        contenders.append(Contender("cashews", await peers.cashews_hit(bench.url, rows), "decoded, pickle"))
    for contender in contenders[1:]:
        await contender.call(0)
    laps = await race(contenders, tasks=1, calls=max(100, bench.calls // 10), rounds=bench.rounds)
    await cache.aclose()
    return [*_hit_rows(contenders, laps), *await _stampede_rows(bench)]


def _hit(name: str, cache: Cache, freshness: Freshness, exactness: str) -> Contender:
    key = CacheKey("bench", "list")

    async def call(_number: int) -> object:
        return (await cache.cached(key, _fetch, freshness)).body

    return Contender(name, call, exactness)


def _decoded(cache: Cache) -> Contender:
    key = CacheKey("bench", "list")

    async def call(_number: int) -> object:
        return (await cache.cached(key, _fetch, Freshness(fresh_ms=600_000))).value()

    return Contender(f"{OURS} decoded", call, "decoded, confirmed with Redis each time")


async def _fetch() -> object:
    return orjson.dumps(coin_list())


def _hit_rows(contenders: list[Contender], laps: Mapping[str, list[Lap]]) -> list[Row]:
    floor = [lap.wall for lap in laps[contenders[0].name]]
    entries = {
        contender.name: Entry(
            contender.name, ratio([lap.wall for lap in laps[contender.name]], floor), contender.exactness
        )
        for contender in contenders[1:]
    }
    decoded, local = entries.pop(f"{OURS} decoded"), entries.pop(f"{OURS} in-process")
    cashews = [entries.pop("cashews")] if "cashews" in entries else []
    micros = exact(min(lap.wall for lap in laps[f"{OURS} in-process"]) * 1e6)
    unit = "× GET + json.loads"
    return [
        Row("cache-bytes", "cache hit of a 223 KB list, as bytes", unit, [*entries.values()], Goal(0.12)),
        Row(
            "cache-decoded",
            "cache hit of a 223 KB list, decoded",
            unit,
            [Entry(OURS, decoded.figure, decoded.exactness), *cashews],
            Goal(0.35),
        ),
        Row(
            "cache-local",
            "cache hit from the in-process tier, best lap",
            "µs",
            [Entry(OURS, micros, local.exactness)],
            Goal(2.0),
        ),
    ]


async def _stampede_rows(bench: Bench) -> list[Row]:
    seen = await stampede(bench)
    what = f"{CALLERS} cold callers in {PROCESSES} processes, {FETCH_MS} ms fetch"
    return [
        Row("stampede-fetches", f"{what}: fetches", "fetches", [Entry(OURS, exact(seen.fetches))], Goal(1)),
        Row("stampede-last", f"{what}: last caller", "ms", [Entry(OURS, exact(seen.last_ms))], Goal(210)),
        Row("stampede-commands", f"{what}: Redis commands", "commands", [Entry(OURS, exact(seen.commands))], Goal(60)),
    ]
