"""CACHE-3: nothing is remembered of a failure, and no last good value is served."""

from collections.abc import Sequence
from dataclasses import replace

from cryptosense.controls.control import Control
from cryptosense.controls.plan.cache import built_as
from cryptosense.services.cache import Cache, Cached, Fetch, Freshness
from cryptosense.state.contracts import CacheKey


class ForgetsFailures(Cache):
    async def cached(self, key: CacheKey, fetch: Fetch, freshness: Freshness, *, tags: Sequence[str] = ()) -> Cached:
        return await super().cached(key, fetch, replace(freshness, negative_ms=0, stale_ms=0), tags=tags)


CONTROL = Control(
    "CACHE-3",
    "While the upstream fails everyone asks it again, and gets an error.",
    {"cache": lambda parts: built_as(ForgetsFailures, parts)},
)
