"""CACHE-5: the list of ids is the key as it was written, and dropping one coin drops only the list of that coin."""

from collections.abc import Iterable

from cryptosense.controls.control import Control
from cryptosense.http.parts import Parts
from cryptosense.services.cache import Cached, Freshness
from cryptosense.services.market_data import MarketData, normalise_ids
from cryptosense.state.contracts import CacheKey

SPACE = "market"


class AsWritten(MarketData):
    async def tokens(self, ids: Iterable[str] | str) -> Cached:
        written = ids.split(",") if isinstance(ids, str) else list(ids)

        async def fetch() -> object:
            return {"tokens": await self._coingecko.markets(normalise_ids(written))}

        freshness = Freshness(fresh_ms=30_000, stale_ms=60_000, negative_ms=1_000)
        return await self._cache.cached(CacheKey(SPACE, ",".join(written)), fetch, freshness)

    async def invalidate(self, ids: Iterable[str] | None = None) -> int:
        if ids is None:
            return await self._cache.invalidate_space(SPACE)
        return await self._cache.invalidate(CacheKey(SPACE, ",".join(ids)))


def _market(parts: Parts) -> AsWritten:
    return AsWritten(parts.cache, parts.coingecko, ttl_s=parts.settings.tokens_ttl_s)


CONTROL = Control(
    "CACHE-5", "Two spellings of a list are two entries, and lists outlive their coins.", {"market": _market}
)
