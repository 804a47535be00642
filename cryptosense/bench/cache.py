"""Cache hits on a list of 250 coins, as bytes and decoded, and what a stampede costs."""

import json
from collections.abc import Mapping
from typing import Any

import orjson

from cryptosense.bench import peers
from cryptosense.bench.bench import Bench
from cryptosense.bench.race import Contender, Lap, race, ratio
from cryptosense.bench.rows import OURS, Entry, Goal, Row, exact
from cryptosense.bench.stampede import CALLERS, FETCH_MS, PROCESSES, stampede
from cryptosense.clock import SystemClock
from cryptosense.services.cache import Cache, Freshness
from cryptosense.state.contracts import CacheKey

COINS = 250


def coin_list(coins: int = COINS) -> list[dict[str, Any]]:
    """Rows of about 890 bytes in CoinGecko's shape; 250 of them are about 223 KB of JSON."""
    return [
        {
            "id": f"coin-{number}",
            "symbol": f"c{number}",
            "name": f"Coin number {number}",
            "image": f"https://assets.example/coins/images/{number}/large/coin-{number}.png?1696501400",
            "current_price": 64123.12 / (number + 1),
            "market_cap": 1_263_411_223_112 // (number + 1),
            "market_cap_rank": number + 1,
            "fully_diluted_valuation": 1_345_211_223_112 // (number + 1),
            "total_volume": 23_411_223_112 // (number + 1),
            "high_24h": 65000.0 / (number + 1),
            "low_24h": 63000.0 / (number + 1),
            "price_change_24h": 812.3112 / (number + 1),
            "price_change_percentage_24h": 1.28312 + number / 977,
            "market_cap_change_24h": 15_211_223_112.0 / (number + 1),
            "market_cap_change_percentage_24h": 1.21881 + number / 911,
            "circulating_supply": 19_701_234.0 + number * 7,
            "total_supply": 21_000_000.0,
            "max_supply": None if number % 3 else 21_000_000.0,
            "ath": 73_738.0 / (number + 1),
            "ath_change_percentage": -13.00112 - number / 997,
            "ath_date": "2024-03-14T07:10:36.635Z",
            "atl": 67.81 / (number + 1),
            "atl_change_percentage": 94_456.12,
            "atl_date": "2013-07-06T00:00:00.000Z",
            "roi": None,
            "last_updated": "2025-10-08T12:00:00.000Z",
        }
        for number in range(coins)
    ]


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
