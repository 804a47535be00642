"""Refreshes hot lists as they expire, on one instance at a time."""

from cryptosense.clock import Clock
from cryptosense.services.market_data import MarketData
from cryptosense.state.contracts import LeaderState


class PriceUpdater:
    def __init__(self, market: MarketData, leaders: LeaderState, clock: Clock, *, instance: str) -> None: ...
    async def run(self) -> None: ...  # until cancelled; resigns
