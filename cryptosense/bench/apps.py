"""The web apps that the bench compares, one a process: `python -m cryptosense.bench.apps NAME REDIS_URL`.

All of them are FastAPI under the same uvicorn; what differs is the limiter or the cache in front of the same answer.
Prints its port on one line when it serves.
"""

import gzip
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.responses import Response

from cryptosense.bench.coins import coin_list
from cryptosense.clock import SystemClock
from cryptosense.http.guards import GuardedRoute, GuardPlan, Limited, guarded
from cryptosense.services.breaker import Breaker
from cryptosense.services.cache import Cache, Freshness
from cryptosense.services.identity import ClientIdentities
from cryptosense.services.insurance import Insurance
from cryptosense.services.policy import Policy
from cryptosense.services.rate_limit import RateLimiter
from cryptosense.settings import Settings
from cryptosense.state.catalog import OpenState, open_redis
from cryptosense.state.contracts import CacheKey

LIMIT, WINDOW_S = 100, 60
ANSWER = json.dumps({"answer": 42}).encode()
LIST_JSON = json.dumps({"tokens": coin_list()}).encode()
LIST_GZIP = gzip.compress(LIST_JSON, 5)
JSON = "application/json"
FRESH = Freshness(fresh_ms=600_000)


def _state(url: str) -> OpenState:
    redis = Settings.from_environment({"REDIS_URL": url, "SIGNING_SECRET": "x" * 32}).redis
    if redis is None:
        raise SystemExit("the bench's apps need a Redis URL")
    return open_redis(redis, prefix="bench:", budget_ms=2_000, client_name="bench-app")


def bare(_url: str) -> FastAPI:
    """A route and nothing else: the floor of every limiter."""
    app = FastAPI()

    @app.get("/")
    async def answer() -> Response:
        return Response(ANSWER, media_type=JSON)

    return app


def limited(url: str) -> FastAPI:
    """Our guard on the same route."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        opened, clock = _state(url), SystemClock()
        policy = Policy("api", limit=LIMIT, window_ms=WINDOW_S * 1000)
        limiter = RateLimiter(opened.state.windows, [policy], Insurance(clock), Breaker(clock), clock)
        identities = ClientIdentities(trusted_proxies=["127.0.0.0/8"])
        app.state.guards = GuardPlan((Limited(limiter, identities),))
        yield
        await opened.close()

    app = FastAPI(lifespan=lifespan)
    app.router.route_class = GuardedRoute

    @app.get("/")
    @guarded(limit="api", session=False)
    async def answer() -> Response:
        return Response(ANSWER, media_type=JSON)

    return app


def slowapi(url: str) -> FastAPI:
    """slowapi's decorator, moving window."""
    from slowapi import Limiter, _rate_limit_exceeded_handler
    from slowapi.errors import RateLimitExceeded

    limiter = Limiter(key_func=_forwarded, storage_uri=url, strategy="moving-window", headers_enabled=True)
    app = FastAPI()
    app.state.limiter = limiter
    handler: Any = _rate_limit_exceeded_handler  # annotated more narrowly than Starlette asks
    app.add_exception_handler(RateLimitExceeded, handler)

    @app.get("/")
    @limiter.limit(f"{LIMIT} per {WINDOW_S} second")
    async def answer(request: Request) -> Response:  # noqa: ARG001 (slowapi looks for it)
        return Response(ANSWER, media_type=JSON)

    return app


def throttled(url: str) -> FastAPI:
    """throttled-py as a dependency of the route."""
    from throttled.asyncio import RedisStore, Throttled, rate_limiter

    quota = rate_limiter.per_duration(timedelta(seconds=WINDOW_S), LIMIT)
    limiter = Throttled(using="sliding_window", quota=quota, store=RedisStore(server=url))

    async def within_limit(request: Request) -> None:
        if (await limiter.limit(_forwarded(request))).limited:
            raise HTTPException(429)

    app = FastAPI()

    @app.get("/", dependencies=[Depends(within_limit)])
    async def answer() -> Response:
        return Response(ANSWER, media_type=JSON)

    return app


def _forwarded(request: Request) -> str:
    return request.headers["x-forwarded-for"]


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def _gzipped(body: bytes) -> Response:
    """Made alike for the floor and for ours, so that what differs is where the body comes from."""
    return Response(body, media_type=JSON, headers={"Content-Encoding": "gzip"})


def list_bytes(_url: str) -> FastAPI:
    """The list as prebuilt bytes in the coding that the client takes: the floor of every cache."""
    app = FastAPI()

    @app.get("/")
    async def answer(request: Request) -> Response:
        if _takes_gzip(request):
            return _gzipped(LIST_GZIP)
        return Response(LIST_JSON, media_type=JSON)

    return app


def list_cached(url: str) -> FastAPI:
    """The list through our cache, each answer confirmed with Redis."""
    held: dict[str, Cache] = {}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        opened = _state(url)
        held["cache"] = Cache(opened.state.cache, SystemClock())
        yield
        await held["cache"].aclose()
        await opened.close()

    app = FastAPI(lifespan=lifespan)

    async def fetch() -> object:
        return LIST_JSON

    @app.get("/")
    async def answer(request: Request) -> Response:
        cached = await held["cache"].cached(CacheKey("bench", "http-list"), fetch, FRESH)
        if _takes_gzip(request) and cached.encoding == "gzip":
            return _gzipped(cached.body)
        return Response(cached.plain(), media_type=JSON)

    return app


def list_fastapi_cache(url: str) -> FastAPI:
    """fastapi-cache2's decorator on a route that returns the rows."""
    import redis.asyncio
    from fastapi_cache import FastAPICache
    from fastapi_cache.backends.redis import RedisBackend
    from fastapi_cache.decorator import cache

    rows = {"tokens": coin_list()}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        client: Any = redis.asyncio.Redis.from_url(url)
        FastAPICache.init(RedisBackend(client), prefix="fastapi-cache")
        yield
        await client.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    @cache(expire=600)
    async def answer() -> dict[str, Any]:
        return rows

    return app


APPS: dict[str, Callable[[str], FastAPI]] = {
    "bare": bare,
    "limited": limited,
    "slowapi": slowapi,
    "throttled": throttled,
    "list-bytes": list_bytes,
    "list-cached": list_cached,
    "list-fastapi-cache": list_fastapi_cache,
}


class _Announcing(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


def main() -> None:
    """Serves until it is terminated."""
    name, url = sys.argv[1:]
    config = uvicorn.Config(
        APPS[name](url), host="127.0.0.1", port=0, log_level="warning", access_log=False, proxy_headers=False
    )
    _Announcing(config).run()


if __name__ == "__main__":
    main()
