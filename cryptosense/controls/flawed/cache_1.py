"""CACHE-1: written under `prefix:prefix:key`, read under `prefix:key`."""

from collections.abc import Sequence

from cryptosense.controls.control import Control
from cryptosense.controls.plan.cache import PlanCache, built_as
from cryptosense.services.cache import Freshness
from cryptosense.state.contracts import CacheKey


class NeverHits(PlanCache):
    async def put(self, key: CacheKey, value: object, freshness: Freshness, *, tags: Sequence[str] = ()) -> bool:
        return await super().put(CacheKey(key.space, f"{key.space}:{key.name}"), value, freshness, tags=tags)


CONTROL = Control(
    "CACHE-1",
    "Reading and writing do not agree on the key.",
    {"cache": lambda parts: built_as(NeverHits, parts)},
)
