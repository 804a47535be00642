"""What the tests of the cache share: a key, ages, and an upstream that the test controls."""

import asyncio

from cryptosense.services.cache import Freshness
from cryptosense.state.contracts import CacheKey

KEY = CacheKey("space", "name")
FRESH = Freshness(fresh_ms=30_000, stale_ms=60_000, negative_ms=2_000, fetch_timeout_ms=2_000)
BRIEF = Freshness(fresh_ms=30_000, jitter=0)


class Upstream:
    """Answers what it is told, when it is told; counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.value: object = {"price": 1}
        self.error: Exception | None = None
        self.held: asyncio.Event | None = None
        self.most_at_once = 0
        self._now = 0

    async def __call__(self) -> object:
        self.calls += 1
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        value = self.value  # read when the fetch begins, as a database or a provider does
        try:
            if self.held is not None:
                await self.held.wait()
        finally:
            self._now -= 1
        if self.error is not None:
            raise self.error
        return value


async def turns(number: int = 20) -> None:
    """Lets everything run that can run without waiting."""
    for _ in range(number):
        await asyncio.sleep(0)
