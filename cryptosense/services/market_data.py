"""Market data of coins: cached 30 s as the bytes that go on the wire, fetched once per expiry and list."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache

from cryptosense.clock import Clock, SystemClock
from cryptosense.errors import InvalidInput
from cryptosense.services.cache import Cache, Cached, Freshness
from cryptosense.services.coingecko import PER_PAGE, CoinGecko
from cryptosense.state.contracts import CacheKey

_ID = re.compile(r"[a-z0-9._-]{1,100}")
_SPACE = "market"
_HISTORY_SPACE = "history"
_LONGEST_NAME = 200
_REMEMBERED_LISTS = 256

HISTORY_DAYS = 180


def normalise_id(text: str) -> str:
    """A coin's id as CoinGecko spells it: lower case, without surrounding blanks.

    Raises:
        InvalidInput: no id looks like that.
    """
    coin = text.strip().lower() if len(text) <= 200 else ""
    if not _ID.fullmatch(coin) or coin.strip(".") == "":
        raise InvalidInput("a coin's id is made of up to 100 letters a-z, digits, '-', '_' and '.'")
    return coin


def normalise_ids(ids: Iterable[str]) -> tuple[str, ...]:
    """Ids as CoinGecko spells them, each once, sorted; the argument is left as it is.

    Raises:
        InvalidInput: none, more than 250, or one that no id looks like.
    """
    coins: set[str] = set()
    for text in ids:
        coins.add(normalise_id(text))
        if len(coins) > PER_PAGE:
            raise InvalidInput(f"at most {PER_PAGE} coins in one list")
    if not coins:
        raise InvalidInput("a list names at least one coin")
    return tuple(sorted(coins))


@lru_cache(maxsize=512)
def ids_in(text: str) -> tuple[str, ...]:
    """`normalise_ids` of a text with commas in it; lists that are asked for again are remembered.

    Raises:
        InvalidInput: see `normalise_ids`.
    """
    return normalise_ids(text.split(","))


class MarketData:
    """Lists of coins and price histories.

    Args:
        cache: shared by all instances.
        coingecko: the provider.
        clock: when a list was last asked for.
        ttl_s: how long a list is fresh.
        stale_s: how much longer it is kept for when the provider fails.
        negative_s: how long a failed fetch is remembered.
    """

    def __init__(
        self,
        cache: Cache,
        coingecko: CoinGecko,
        *,
        clock: Clock | None = None,
        ttl_s: float = 30.0,
        stale_s: float = 3_600.0,
        negative_s: float = 2.0,
    ) -> None:
        self._cache = cache
        self._coingecko = coingecko
        self._clock = clock or SystemClock()
        fetch_timeout_ms = 10_000
        self._list_freshness = Freshness(
            fresh_ms=round(ttl_s * 1000),
            stale_ms=round(stale_s * 1000),
            negative_ms=round(negative_s * 1000),
            fetch_timeout_ms=fetch_timeout_ms,
        )
        self._history_freshness = Freshness(
            fresh_ms=600_000,
            stale_ms=6 * 3_600_000,
            negative_ms=round(negative_s * 1000),
            fetch_timeout_ms=fetch_timeout_ms,
        )
        self._asked: OrderedDict[tuple[str, ...], float] = OrderedDict()

    async def tokens(self, ids: Iterable[str] | str) -> Cached:
        """`{"tokens": [rows as CoinGecko gives them]}`; kind NEGATIVE while the provider fails.

        Args:
            ids: one by one, or as a text with commas between.

        Raises:
            InvalidInput: see `normalise_ids`.
        """
        coins = ids_in(ids) if isinstance(ids, str) else normalise_ids(ids)
        self._asked[coins] = self._clock.monotonic()
        self._asked.move_to_end(coins)
        if len(self._asked) > _REMEMBERED_LISTS:
            self._asked.popitem(last=False)
        return await self.refresh(coins)

    async def refresh(self, coins: tuple[str, ...]) -> Cached:
        """The same for ids that are normalised already, without counting as somebody's interest."""

        async def fetch() -> object:
            return {"tokens": await self._coingecko.markets(coins)}

        return await self._cache.cached(self._key(coins), fetch, self._list_freshness, tags=coins)

    async def fresh_for_ms(self, coins: tuple[str, ...]) -> int:
        """What is left of a list's freshness; 0 for none.

        Raises:
            StateError: nobody can tell.
        """
        return await self._cache.fresh_for_ms(self._key(coins))

    def hot(self, *, within_s: float) -> list[tuple[str, ...]]:
        """The lists that somebody asked this process for, most recently first."""
        since = self._clock.monotonic() - within_s
        return [coins for coins, at in reversed(self._asked.items()) if at >= since]

    async def history(self, coin: str) -> list[tuple[int, float]] | None:
        """Daily prices of the last half year, as (Unix ms, price); None for an unknown coin.

        Raises:
            InvalidInput: no id looks like that.
            UpstreamError: the provider fails and nothing is remembered.
        """
        coin = normalise_id(coin)

        async def fetch() -> object:
            return await self._coingecko.market_chart(coin, days=HISTORY_DAYS)

        answer = await self._cache.cached(CacheKey(_HISTORY_SPACE, coin), fetch, self._history_freshness, tags=(coin,))
        points = answer.required()
        return None if points is None else [(at, price) for at, price in points]

    async def invalidate(self, ids: Iterable[str] | None = None) -> int:
        """Drops every list that holds one of the coins, or all lists; how many were dropped.

        Raises:
            InvalidInput: see `normalise_ids`.
            StateError: they may not have been dropped.
        """
        if ids is None:
            return await self._cache.invalidate_space(_SPACE)
        return await self._cache.invalidate_tags(_SPACE, normalise_ids(ids))

    @staticmethod
    @lru_cache(maxsize=512)
    def _key(coins: tuple[str, ...]) -> CacheKey:
        """One key function for reading, writing and dropping; long lists by their digest."""
        name = ",".join(coins)
        if len(name) > _LONGEST_NAME:
            name = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
        return CacheKey(_SPACE, name)
