"""Start, background work, shutdown: what happens in which order, and how long each step may take."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from cryptosense.errors import CryptoSenseError, DatabaseUnavailable, StateError
from cryptosense.http.parts import Parts

log = logging.getLogger("cryptosense.lifecycle")

SWEEP_EVERY_S = 3_600.0
STEP_S = 0.8  # for each step of the shutdown; there are five, inside the ten seconds that an exit may take


class Lifecycle:
    """What one instance does before it serves, beside serving, and after."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Waits, bounded, for what the instance needs, says what it found, and starts the background work.

        A dependency that is away is no reason not to start: readiness says so, and the work here goes on trying.
        """
        parts = self._parts
        seconds = parts.settings.startup_wait_s
        redis, database = await asyncio.gather(self._find_redis(seconds), self._find_database(seconds))
        found = {"database": database, "redis": redis, "stage": parts.stages.name}
        if database and redis is not False:
            log.info("started with everything it needs", extra={"event": "started", **found})
        else:
            log.warning("started without everything it needs", extra={"event": "started", **found})
        if parts.settings.secret_is_random:
            log.warning(
                "SIGNING_SECRET is not set: tokens of this process end with it, and no other instance knows them"
            )
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "breaker": lambda: parts.breaker.watch(parts.limiter.probe),
            "updater": parts.updater.run,
            "stages": parts.stages.watch,
            "sweep": self._sweep,
        }
        if not database:
            work["migrations"] = self._migrate
        self._tasks = [asyncio.create_task(_supervised(name, run), name=name) for name, run in work.items()]

    async def stop(self) -> None:
        """Ends background work, then the state, then the database; each step bounded, whatever answers."""
        parts = self._parts
        parts.drain.draining = True
        for task in self._tasks:
            task.cancel()
        await _bounded("background work", asyncio.gather(*self._tasks, return_exceptions=True))
        await _bounded("fetches", parts.cache.aclose())
        await _bounded("upstream client", parts.coingecko.aclose())
        await _bounded("state", parts.state.close())
        await _bounded("database", parts.database.aclose())
        parts.passwords.close()
        log.info("stopped", extra={"event": "stopped"})

    async def _find_redis(self, seconds: float) -> bool | None:
        redis = self._parts.redis
        if redis is None or not self._parts.stages.redis_is_used():
            return None
        return await redis.wait_ready(seconds)

    async def _find_database(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(max(seconds, 0.1)):
                await self._migrate()
        except TimeoutError:
            return False
        return True

    async def _migrate(self) -> None:
        """Brings the schema up to date as soon as the database answers."""
        while True:
            try:
                await self._parts.database.migrate()
            except DatabaseUnavailable:
                await asyncio.sleep(0.5)
            else:
                return

    async def _sweep(self) -> None:
        """Removes CSRF records that would never expire, now and then and on one instance."""
        parts = self._parts
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                if await parts.state.state.leaders.lead("csrf-sweep", parts.instance, ttl_ms=int(SWEEP_EVERY_S * 500)):
                    removed = await parts.csrf.sweep_orphans()
                    log.info("swept CSRF records without an expiry", extra={"event": "sweep", "removed": removed})
            except StateError as error:
                log.warning("the sweep met an outage", extra={"cause": type(error).__name__})


async def _supervised(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Runs background work, and again after a second where it failed: it must not die unseen."""
    while True:
        try:
            await run()
        except CryptoSenseError as error:
            log.warning(
                "background work met trouble", extra={"task": name, "cause": f"{type(error).__name__}: {error}"}
            )
        except Exception:
            log.exception("background work failed", extra={"task": name})
        else:
            return
        await asyncio.sleep(1.0)


async def _bounded(name: str, step: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(STEP_S):
            await step
    except TimeoutError:
        log.warning("a step of the shutdown took too long and was left", extra={"step": name})
    except Exception:
        log.exception("a step of the shutdown failed", extra={"step": name})
