"""Market data of coins, cached 30 s."""

from collections.abc import Iterable

from cryptosense.services.cache import Cache, Cached, Freshness
from cryptosense.services.coingecko import CoinGecko


def normalise_ids(ids: Iterable[str]) -> tuple[str, ...]:
    """Stripped, lower case, without repeats, sorted. InvalidInput."""
    ...


class MarketData:
    def __init__(self, cache: Cache, coingecko: CoinGecko, *, ttl_s: float = 30.0) -> None: ...
    async def tokens(self, ids: Iterable[str]) -> Cached: ...  # body {"tokens": [...]}
    async def invalidate(self, ids: Iterable[str] | None = None) -> int: ...
