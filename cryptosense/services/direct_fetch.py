"""Fetching without a cache: bounded, so that an outage of the state does not become one of the upstream."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

from cryptosense.errors import UpstreamUnavailable
from cryptosense.state.contracts import CacheKey

Fetch = Callable[[], Awaitable[object]]


async def fetch_within(fetch: Fetch, timeout_ms: int) -> object:
    """Runs `fetch` for at most `timeout_ms`.

    Raises:
        UpstreamUnavailable: it took longer.
    """
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            return await fetch()
    except TimeoutError:
        raise UpstreamUnavailable(f"no answer within {timeout_ms} ms") from None


class DirectFetches:
    """At most `concurrency` fetches at a time, one per key; callers share a fetch that has not begun.

    A fetch under way is not shared: it may have read what a caller has changed since, and nothing could tell.
    """

    def __init__(self, concurrency: int, *, waiting: int = 256) -> None:
        self._slots = asyncio.Semaphore(max(1, concurrency))
        self._most_waiting = waiting
        self._waiting: dict[CacheKey, asyncio.Task[object]] = {}
        self._running: dict[CacheKey, asyncio.Task[object]] = {}

    @property
    def tasks(self) -> list["asyncio.Task[object]"]:
        return [*self._waiting.values(), *self._running.values()]

    async def fetch(self, key: CacheKey, fetch: Fetch, timeout_ms: int) -> object:
        """The value; after a fetch of this key that is under way, if there is one.

        Raises:
            UpstreamUnavailable: it took too long, or too many wait already.
            Exception: whatever `fetch` raises.
        """
        task = self._waiting.get(key)
        if task is None:
            if len(self._waiting) >= self._most_waiting:
                raise UpstreamUnavailable("too many requests wait for the upstream")
            work = self._fetch(key, fetch, timeout_ms)
            task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
            self._waiting[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)

    async def _fetch(self, key: CacheKey, fetch: Fetch, timeout_ms: int) -> object:
        before = self._running.get(key)
        if before is not None:
            await asyncio.wait([before])
        async with self._slots:
            task = self._waiting.pop(key)
            self._running[key] = task
            return await fetch_within(fetch, timeout_ms)

    def _forget(self, key: CacheKey, done: "asyncio.Task[object]") -> None:
        for tasks in (self._waiting, self._running):
            if tasks.get(key) is done:
                del tasks[key]
        if not done.cancelled():
            done.exception()  # its callers have it, or all of them went away
