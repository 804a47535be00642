"""A stand-in for a service instance, as a program: what the topology needs of one and no more.

`/livez`; `/readyz` with the stage from MIGRATION_STAGE_FILE; `/clock` with its wall clocks; `/settings`; `/ping`, which
asks its store over a kept connection with a budget of a second and answers 503 when that fails.
"""

import argparse
import datetime as dt
import os
import sys
import time
from pathlib import Path

import redis.asyncio
from aiohttp import web
from redis.backoff import NoBackoff
from redis.retry import Retry

if os.environ.get("STANDIN_FAILS"):
    sys.exit("the stand-in was told to fail")


def stage():
    return Path(os.environ["MIGRATION_STAGE_FILE"]).read_text()


def application():
    url = os.environ.get("REDIS_URL", "")
    store = redis.asyncio.Redis.from_url(
        url if url.startswith("redis:") else "redis://127.0.0.1:1",  # it knows single servers only
        socket_timeout=3,  # longer than replies are slowed in any test
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 0),
    )

    async def livez(_request):
        return web.json_response({})

    async def readyz(_request):
        return web.json_response({"stage": stage()})

    async def clock(_request):
        now = dt.datetime.now(dt.UTC)
        assert type(now) is type(dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
        assert isinstance(now, dt.datetime)
        return web.json_response(
            {
                "time": time.time(),
                "time_ns": time.time_ns() / 1e9,
                "datetime": now.timestamp(),
                "gmtime": time.strftime("%Y-%m-%d", time.gmtime()),
                "monotonic": time.monotonic(),
            }
        )

    async def settings(_request):
        return web.json_response(dict(os.environ))

    async def ping(request):
        started = time.monotonic()
        try:
            await (store.set("cs:x", "1") if "write" in request.query else store.ping())
        except (redis.exceptions.RedisError, OSError) as error:
            return web.json_response({"error": repr(error), "took": time.monotonic() - started}, status=503)
        return web.json_response({"took": time.monotonic() - started})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/clock", clock)])
    app.add_routes([web.get("/settings", settings), web.get("/ping", ping)])
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    arguments = parser.parse_args()
    url = f"http://{arguments.host}:{arguments.port}"
    web.run_app(
        application(), host=arguments.host, port=arguments.port, print=lambda *_: print(f"ready {url}", flush=True)
    )
