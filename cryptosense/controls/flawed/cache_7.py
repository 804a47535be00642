"""CACHE-7: an outage looks like a miss, and every request goes upstream."""

from collections.abc import Sequence

from cryptosense.controls.control import Control
from cryptosense.controls.plan.cache import PlanCache, built_as
from cryptosense.errors import StateError
from cryptosense.services.cache import Cached, Fetch, Freshness, Outcome
from cryptosense.services.cache_answer import encode
from cryptosense.state.contracts import CacheKey


class CallsItAMiss(PlanCache):
    async def cached(self, key: CacheKey, fetch: Fetch, freshness: Freshness, *, tags: Sequence[str] = ()) -> Cached:
        try:
            return await super().cached(key, fetch, freshness, tags=tags)
        except StateError:
            kind, body, encoding = await encode(await fetch())
            return Cached(Outcome.MISS, kind, body, encoding)


CONTROL = Control(
    "CACHE-7",
    "While Redis is away every request is a miss and reaches the upstream.",
    {"cache": lambda parts: built_as(CallsItAMiss, parts)},
)
