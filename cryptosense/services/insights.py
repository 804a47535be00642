"""Predictions and risk from price history."""

from cryptosense.clock import Clock
from cryptosense.services.cache import Cache, Cached
from cryptosense.services.market_data import MarketData


class Insights:
    def __init__(self, cache: Cache, market: MarketData, clock: Clock) -> None: ...
    async def prediction(self, coin: str) -> Cached: ...  # body {"prediction": {...}}; kind NULL: no such coin
    async def risk(self, coin: str) -> Cached: ...  # body {"risk": {...}}
