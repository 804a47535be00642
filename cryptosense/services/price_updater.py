"""Keeps the lists that somebody watches warm: refreshes them as they expire, on one instance at a time.

Nothing is fetched before its expiry, so watching a list costs the provider no more than asking for it does.
"""

import asyncio
import logging

from cryptosense.clock import Clock
from cryptosense.errors import CryptoSenseError, StateError
from cryptosense.services.market_data import MarketData
from cryptosense.state.contracts import LeaderState

_log = logging.getLogger(__name__)

_TASK = "price-updater"


class PriceUpdater:
    """Background work of one instance; does nothing while another one leads.

    Args:
        market: the lists, and which of them are hot.
        leaders: who works now.
        clock: for the age of an interest.
        instance: this process's name among the others.
        interest_s: a list is hot for so long after somebody asked for it.
        lead_s: how long a leader that died keeps the others from leading.
        pause_s: the longest pause between two looks.
    """

    def __init__(
        self,
        market: MarketData,
        leaders: LeaderState,
        clock: Clock,
        *,
        instance: str,
        interest_s: float = 90.0,
        lead_s: float = 10.0,
        pause_s: float = 2.0,
    ) -> None:
        self._market = market
        self._leaders = leaders
        self._clock = clock
        self._instance = instance
        self._interest_s = interest_s
        self._lead_ms = round(lead_s * 1000)
        self._pause_s = pause_s
        self.refreshed = 0

    async def run(self) -> None:
        """Works until cancelled, then gives the lead away."""
        try:
            while True:
                pause_s = await self.round()
                await asyncio.sleep(pause_s)
        finally:
            try:
                await self._leaders.resign(_TASK, self._instance)
            except StateError as error:
                _log.info("the lead of the price updater was not given away: %s", error)

    async def round(self) -> float:
        """Refreshes what has expired, if this instance leads; seconds until the next look is due."""
        hot = self._market.hot(within_s=self._interest_s)
        if not hot:
            return self._pause_s
        try:
            if not await self._leaders.lead(_TASK, self._instance, ttl_ms=self._lead_ms):
                return self._pause_s
            left_ms = [await self._look_after(coins) for coins in hot]
        except StateError:
            return self._pause_s  # without the state nothing is cached, so nothing can be kept warm
        except CryptoSenseError as error:
            _log.warning("the price updater failed; it goes on: %s", error)
            return self._pause_s
        return min(self._pause_s, max(0.05, min(left_ms) / 1000))

    async def _look_after(self, coins: tuple[str, ...]) -> int:
        """What is left of the list's freshness in ms, after a refresh if nothing was."""
        left_ms = await self._market.fresh_for_ms(coins)
        if left_ms > 0:
            return left_ms
        await self._market.refresh(coins)
        self.refreshed += 1
        return await self._market.fresh_for_ms(coins)
