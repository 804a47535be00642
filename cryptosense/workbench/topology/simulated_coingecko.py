"""A CoinGecko of ours, as a process of its own: the shape of its API v3, its quota and its bad days.

    python -m cryptosense.workbench.topology.simulated_coingecko --port P [--latency-ms 200 500] [--quota N] [--seed S]

prints `ready URL` and serves `/api/v3/coins/markets` and `/api/v3/coins/{id}/market_chart`. What it is told and what
it counted goes over `/_control`, which costs neither latency nor quota:

    GET  /_control/calls     {"calls": n, "by_path": {template: n}, "refused": n, "concurrent_max": n}
    GET  /_control/calls?ids=a,b   {"calls": n} for the list of just these coins, in any order
    POST /_control/settings  {"latency_ms": [low, high], "health": "up|failing|hanging", "quota_per_minute": n or 0}
"""

import argparse
import asyncio
import math
import random
import signal
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from aiohttp import web

from cryptosense.workbench.topology.market import CHANGE_PERIODS, LISTED, Market

MARKETS = "/coins/markets"
CHART = "/coins/{id}/market_chart"

Health = Literal["up", "failing", "hanging"]
_MINUTE = 60.0


@dataclass
class Settings:
    """What can be changed while it runs. Latency in ms, drawn evenly from the range; a quota of 0 is none."""

    latency_ms: tuple[int, int] = (200, 500)
    health: Health = "up"
    quota_per_minute: int = 0


@dataclass
class Quota:
    """Calls of the last minute, as a log: a refused call takes no place in it."""

    admitted: deque[float] = field(default_factory=deque)

    def retry_after(self, limit: int, now: float) -> float:
        """0 when the call is within the limit (and now counted), else seconds until one would be."""
        while self.admitted and self.admitted[0] <= now - _MINUTE:
            self.admitted.popleft()
        if limit and len(self.admitted) >= limit:
            return self.admitted[len(self.admitted) - limit] + _MINUTE - now
        self.admitted.append(now)
        return 0.0


class SimulatedCoinGecko:
    """The application and its counts."""

    def __init__(self, settings: Settings, *, seed: int, now: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.calls: Counter[str] = Counter()
        self.lists: Counter[str] = Counter()
        self.refused = 0
        self.concurrent = 0
        self.concurrent_max = 0
        self._changed = asyncio.Event()
        self._market = Market(seed)
        self._draw = random.Random(seed)
        self._quota = Quota()
        self._now = now

    def application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.get(f"/api/v3{MARKETS}", self._as_provider(MARKETS, self._markets)),
                web.get(f"/api/v3{CHART}", self._as_provider(CHART, self._chart)),
                web.get("/_control/calls", self._tell_calls),
                web.post("/_control/settings", self._change_settings),
            ]
        )
        return application

    def _as_provider(
        self, template: str, answer: Callable[[web.Request], web.Response]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Counts the call and puts health, quota and latency before the answer."""

        async def handle(request: web.Request) -> web.Response:
            self.calls[template] += 1
            self.lists[_list_of(request)] += 1
            self.concurrent += 1
            self.concurrent_max = max(self.concurrent_max, self.concurrent)
            try:
                return await self._through_the_day(request, answer)
            finally:
                self.concurrent -= 1

        return handle

    async def _through_the_day(
        self, request: web.Request, answer: Callable[[web.Request], web.Response]
    ) -> web.Response:
        while self.settings.health == "hanging":
            await self._changed.wait()
        wait = self._quota.retry_after(self.settings.quota_per_minute, self._now())
        if wait > 0:
            self.refused += 1
            text = "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to subscribe"
            return _refusal(429, text, {"Retry-After": str(math.ceil(wait))})
        await asyncio.sleep(self._draw.uniform(*self.settings.latency_ms) / 1000)
        if self.settings.health == "failing":
            return _refusal(503, "Service Unavailable", {})
        return answer(request)

    def _markets(self, request: web.Request) -> web.Response:
        query = request.query
        if "vs_currency" not in query:
            return _error(422, "Missing parameter vs_currency")
        try:
            per_page, page = int(query.get("per_page", 100)), int(query.get("page", 1))
        except ValueError:
            return _error(422, "Invalid per_page or page parameter")
        if not 1 <= per_page <= LISTED or page < 1:
            return _error(422, "Invalid value for per_page or page parameter")
        coins = self._market.coins
        if query.get("ids"):
            wanted = {name.strip().lower() for name in query["ids"].split(",")}
            coins = [coin for coin in coins if coin.id in wanted]
        changes = [period for period in query.get("price_change_percentage", "").split(",") if period in CHANGE_PERIODS]
        shown = coins[(page - 1) * per_page : page * per_page]
        return _json(self._market.rows(shown, self._now(), changes))

    def _chart(self, request: web.Request) -> web.Response:
        coin = self._market.coin(request.match_info["id"])
        if coin is None:
            return _error(404, "coin not found")
        if "vs_currency" not in request.query:
            return _error(422, "Missing parameter vs_currency")
        try:
            days = 365.0 if request.query.get("days") == "max" else float(request.query["days"])
        except (KeyError, ValueError):
            return _error(422, "Missing or invalid parameter days")
        if not 0 < days <= 365:
            return _error(422, "days must be within 365")
        now = self._now()
        return _json(self._market.chart(coin, now - days * 86_400, now, _granularity(days, request)))

    async def _tell_calls(self, request: web.Request) -> web.Response:
        if "ids" in request.query:
            return _json({"calls": self.lists[_list_of(request)]})
        return _json(
            {
                "calls": self.calls.total(),
                "by_path": {MARKETS: self.calls[MARKETS], CHART: self.calls[CHART]},
                "refused": self.refused,
                "concurrent_max": self.concurrent_max,
            }
        )

    async def _change_settings(self, request: web.Request) -> web.Response:
        wanted: dict[str, Any] = await request.json()
        if "latency_ms" in wanted:
            low, high = wanted["latency_ms"]
            self.settings.latency_ms = (int(low), int(high))
        if "quota_per_minute" in wanted:
            self.settings.quota_per_minute = int(wanted["quota_per_minute"])
        if "health" in wanted:
            if wanted["health"] not in ("up", "failing", "hanging"):
                return _error(422, "health is up, failing or hanging")
            self.settings.health = wanted["health"]
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        return _json({"latency_ms": self.settings.latency_ms, "health": self.settings.health})


def _list_of(request: web.Request) -> str:
    """The coins that a request is for, however they are ordered."""
    return ",".join(sorted({name.strip().lower() for name in request.query.get("ids", "").split(",")}))


def _granularity(days: float, request: web.Request) -> float:
    """Seconds between points, as the real API: five minutes for a day, hours to 90 days, days beyond."""
    if request.query.get("interval") == "daily" or days > 90:
        return 86_400.0
    return 300.0 if days <= 1 else 3_600.0


def _json(body: object) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")


def _error(status: int, text: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps({"error": text}), content_type="application/json")


def _refusal(status: int, text: str, headers: dict[str, str]) -> web.Response:
    body = orjson.dumps({"status": {"error_code": status, "error_message": text}})
    return web.Response(status=status, body=body, headers=headers, content_type="application/json")


async def serve(arguments: argparse.Namespace) -> None:
    """Serves until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = Settings(latency_ms=tuple(arguments.latency_ms), quota_per_minute=arguments.quota)
    application = SimulatedCoinGecko(settings, seed=arguments.seed).application()
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, arguments.host, arguments.port, backlog=1024).start()
        print(f"ready http://{arguments.host}:{arguments.port}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(description="a simulated CoinGecko")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency-ms", type=int, nargs=2, default=(200, 500), metavar=("LOW", "HIGH"))
    parser.add_argument("--quota", type=int, default=0, help="calls a minute, 0 for no limit")
    parser.add_argument("--seed", type=int, default=20251008)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
