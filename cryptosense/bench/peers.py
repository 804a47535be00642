"""The peers' ways to do the same thing, each wrapped as one call; they are an optional extra (`cryptosense[peers]`)."""

import importlib.util
import json
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

Client = Any  # redis-py annotates replies for every setting at once; the bench knows its own

CLIENTS = 200
"""Distinct clients that a limiter race spreads its decisions over."""

PACKAGES = ("cashews", "fastapi_cache", "limits", "slowapi", "throttled")


def missing_peers() -> list[str]:
    """The peer packages that are not installed."""
    return [package for package in PACKAGES if importlib.util.find_spec(package) is None]


def client_of(number: int) -> str:
    """The client that a running number belongs to."""
    return f"address:10.0.{number % CLIENTS // 250}.{number % CLIENTS % 250}"


def plan_limiter(server: Client, limit: int, window_ms: int) -> Callable[[int], Awaitable[object]]:
    """The plan's own: trim, add, count and expire in one MULTI, on the caller's clock, denials included."""

    async def call(number: int) -> bool:
        key, now = f"plan:{client_of(number)}", int(time.time() * 1000)
        transaction = server.pipeline(transaction=True)
        transaction.zremrangebyscore(key, 0, now - window_ms)
        transaction.zadd(key, {f"{now}:{random.random()}": now})
        transaction.zcount(key, now - window_ms, now)
        transaction.expire(key, math.ceil(window_ms / 1000))
        return bool((await transaction.execute())[2] <= limit)

    return call


def limits_limiter(url: str, limit: int, window_ms: int) -> Callable[[int], Awaitable[object]]:
    """limits' moving window: exact, on the caller's clock."""
    from limits import RateLimitItemPerSecond
    from limits.aio.storage import RedisStorage
    from limits.aio.strategies import MovingWindowRateLimiter

    limiter = MovingWindowRateLimiter(RedisStorage(f"async+{url}", implementation="redispy"))
    item = RateLimitItemPerSecond(limit, window_ms // 1000)

    async def call(number: int) -> bool:
        return bool(await limiter.hit(item, client_of(number)))

    return call


def throttled_limiter(url: str, using: str, limit: int, window_ms: int) -> Callable[[int], Awaitable[object]]:
    """throttled-py, by the name of its algorithm (`sliding_window` is two weighted counters, `gcra`)."""
    from datetime import timedelta

    from throttled.asyncio import RedisStore, Throttled, rate_limiter

    quota = rate_limiter.per_duration(timedelta(milliseconds=window_ms), limit)
    limiter = Throttled(using=using, quota=quota, store=RedisStore(server=url))

    async def call(number: int) -> Any:
        return await limiter.limit(client_of(number))

    return call


def plan_csrf(server: Client, tokens: dict[str, str]) -> Callable[[int], Awaitable[object]]:
    """The plan's own: GET, compare, then SET the next one; two round trips and a gap between them."""

    async def call(number: int) -> bool:
        client = client_of(number)
        stored = await server.get(f"plan:csrf:{client}")
        if stored is None or stored.decode() != tokens[client]:
            return False
        await server.set(f"plan:csrf:{client}", tokens[client], ex=86_400)
        return True

    return call


def get_and_parse(server: Client, key: str) -> Callable[[int], Awaitable[object]]:
    """The plan's cache hit: GET and `json.loads`."""

    async def call(_number: int) -> Any:
        return json.loads(await server.get(key))

    return call


async def cashews_hit(url: str, value: Any) -> Callable[[int], Awaitable[object]]:
    """cashews' hit: GET and unpickle, so the value comes back decoded."""
    from cashews import Cache

    cache = Cache()
    cache.setup(url, client_side=False)
    await cache.set("cashews:list", value, expire=600)

    async def call(_number: int) -> Any:
        return await cache.get("cashews:list")

    return call
