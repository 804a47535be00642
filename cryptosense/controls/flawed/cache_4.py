"""CACHE-4: a value fetched before an invalidation is stored after it."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar

from cryptosense.controls.control import Control
from cryptosense.controls.plan.cache import PlanCache, built_as
from cryptosense.services.cache import Cached, Fetch, Freshness
from cryptosense.state.contracts import CacheKey


class Unfenced(PlanCache):
    """One fetch at a time in the process, and whatever it brought is written."""

    _locks: ClassVar[defaultdict[CacheKey, asyncio.Lock]] = defaultdict(asyncio.Lock)

    async def cached(self, key: CacheKey, fetch: Fetch, freshness: Freshness, *, tags: Sequence[str] = ()) -> Cached:
        async with self._locks[key]:
            return await super().cached(key, fetch, freshness, tags=tags)


CONTROL = Control(
    "CACHE-4",
    "A fetch under way knows nothing of an invalidation and writes afterwards.",
    {"cache": lambda parts: built_as(Unfenced, parts)},
)
