"""The plan's cache: read, fetch, write, and nobody knows of anybody else."""

from collections.abc import Sequence
from typing import TypeVar

from cryptosense.http.parts import Parts
from cryptosense.services.cache import Cache, Cached, Fetch, Freshness, Outcome
from cryptosense.services.cache_answer import encode
from cryptosense.state.contracts import CacheKey

Flawed = TypeVar("Flawed", bound=Cache)


class PlanCache(Cache):
    """Everyone who misses fetches and writes; a failure is remembered by nobody, and nothing is kept past its time."""

    async def cached(self, key: CacheKey, fetch: Fetch, freshness: Freshness, *, tags: Sequence[str] = ()) -> Cached:
        held = await self.get(key)
        if held is not None:
            return held
        value = await fetch()
        kind, body, encoding = await encode(value)
        if value is not None:
            await self.put(key, value, freshness, tags=tags)
        return Cached(Outcome.MISS, kind, body, encoding)


def built_as(kind: type[Flawed], parts: Parts) -> Flawed:
    """A flawed cache, given what the reference gives its own."""
    return kind(
        parts.state.state.cache,
        parts.clock,
        breaker=parts.breaker,
        upstream_concurrency=parts.settings.upstream_concurrency,
    )
