"""What the instance says about itself: alive, ready, healthy."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from cryptosense.clock import Clock
from cryptosense.http.frame import Drain
from cryptosense.http.stages import Stages
from cryptosense.services.breaker import Breaker

Ping = Callable[[], Awaitable[bool]]
Report = tuple[int, dict[str, Any]]


class Health:
    """Asks the dependencies, each for at most `patience_s`.

    Args:
        redis: None where the instance has no Redis.
        breaker: open while fallbacks decide.
    """

    def __init__(
        self,
        *,
        database: Ping,
        redis: Ping | None,
        stages: Stages,
        breaker: Breaker,
        drain: Drain,
        clock: Clock,
        patience_s: float = 0.5,
    ) -> None:
        self._database = database
        self._redis = redis
        self._stages = stages
        self._breaker = breaker
        self._drain = drain
        self._clock = clock
        self._patience_s = patience_s
        self._started = clock.monotonic()

    async def health(self) -> Report:
        """200 `ok` when everything that is used answers, else 503 `unavailable`."""
        services = await self._services()
        well = all(services.values())
        return (200 if well else 503), {
            "status": "ok" if well else "unavailable",
            "timestamp": datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="milliseconds"),
            "uptime": round(self._clock.monotonic() - self._started, 3),
            "services": services,
        }

    async def ready(self) -> Report:
        """Whether to send traffic here: 200 also while a fallback covers an outage, 503 without the database or
        while draining.
        """
        services = await self._services()
        reasons = [f"{name} does not answer" for name, answers in services.items() if not answers]
        if self._breaker.is_open and "redis" in services and services["redis"]:
            reasons.append("the insurance limiter decides")
        if self._drain.draining:
            status, code = "draining", 503
        elif not services["database"]:
            status, code = "unavailable", 503
        else:
            status, code = ("degraded" if reasons else "ready"), 200
        return code, {
            "status": status,
            "stage": self._stages.name,
            "degraded": bool(reasons),
            "reasons": reasons,
            "services": services,
        }

    async def _services(self) -> dict[str, bool]:
        names, pings = ["database"], [self._database]
        if self._redis is not None and self._stages.redis_is_used():
            names.append("redis")
            pings.append(self._redis)
        answers = await asyncio.gather(*(self._asked(ping) for ping in pings))
        return dict(zip(names, answers, strict=True))

    async def _asked(self, ping: Ping) -> bool:
        try:
            async with asyncio.timeout(self._patience_s):
                return await ping()
        except TimeoutError:
            return False
