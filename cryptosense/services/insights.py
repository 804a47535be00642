"""Predictions and risk of a coin, computed from its price history off the event loop, and cached."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from cryptosense.clock import Clock
from cryptosense.services import statistics_of_prices as statistics
from cryptosense.services.cache import Cache, Cached, Freshness
from cryptosense.services.market_data import MarketData, normalise_id
from cryptosense.state.contracts import CacheKey

_SPACE = "insights"
_FRESHNESS = Freshness(fresh_ms=300_000, stale_ms=6 * 3_600_000, negative_ms=2_000, fetch_timeout_ms=15_000)
_DAY_MS = 86_400_000

HORIZON_DAYS = 7

History = Sequence[tuple[int, float]]


class Insights:
    """Computed answers about one coin; kind NULL where it is unknown or younger than the statistics need."""

    def __init__(self, cache: Cache, market: MarketData, clock: Clock) -> None:
        self._cache = cache
        self._market = market
        self._clock = clock
        self.computed = 0

    async def prediction(self, coin: str) -> Cached:
        """`{"prediction": {...}}`: see `predict`; kind NEGATIVE while the provider fails.

        Raises:
            InvalidInput: no id looks like that.
        """
        return await self._about(coin, "prediction", predict)

    async def risk(self, coin: str) -> Cached:
        """`{"risk": {...}}`: see `assess`; kind NEGATIVE while the provider fails.

        Raises:
            InvalidInput: no id looks like that.
        """
        return await self._about(coin, "risk", assess)

    async def _about(self, coin: str, what: str, compute: Callable[[str, History], dict[str, Any]]) -> Cached:
        coin = normalise_id(coin)

        async def fetch() -> object:
            history = daily(await self._market.history(coin) or ())
            if len(history) < statistics.FEWEST:
                return None
            self.computed += 1
            return {what: await asyncio.to_thread(compute, coin, history)}

        return await self._cache.cached(CacheKey(_SPACE, f"{what}:{coin}"), fetch, _FRESHNESS, tags=(coin,))


def daily(history: History) -> list[tuple[int, float]]:
    """The last price of each day (UTC), oldest first; the provider's last point is the running day's."""
    return list({at // _DAY_MS: (at, price) for at, price in sorted(history)}.values())


def predict(coin: str, history: History) -> dict[str, Any]:
    """The price in a week by `statistics_of_prices.forecast`, with how well such forecasts did in the last month.

    Prices are decimal strings in US dollars; shares are numbers (0.05 is 5 %).
    """
    prices = _prices(history)
    made = statistics.forecast(prices, horizon_days=HORIZON_DAYS)
    past = statistics.backtest(prices, horizon_days=HORIZON_DAYS)
    return {
        "coin": coin,
        "as_of": _as_of(history),
        "observations": len(prices),
        "horizon_days": made.horizon_days,
        "price": _money(float(prices[-1])),
        "predicted_price": _money(made.price),
        "interval": {"level": made.level, "low": _money(made.low), "high": _money(made.high)},
        "drift_daily": made.drift_daily,
        "method": "random walk with drift, moving-block bootstrap interval",
        "backtest": None
        if past is None
        else {
            "forecasts": past.forecasts,
            "mean_error": past.error,
            "mean_error_of_no_change": past.naive_error,
            "interval_coverage": past.coverage,
        },
    }


def assess(coin: str, history: History) -> dict[str, Any]:
    """Volatility, one-day losses and drawdown over the history; shares are numbers (0.05 is 5 %)."""
    prices = _prices(history)
    value_at_risk, shortfall = statistics.historical_loss(prices)
    return {
        "coin": coin,
        "as_of": _as_of(history),
        "observations": len(prices),
        "annual_volatility": statistics.annual_volatility(prices),
        "value_at_risk": {"level": 0.95, "days": 1, "share": value_at_risk},
        "expected_shortfall": {"level": 0.95, "days": 1, "share": shortfall},
        "max_drawdown": statistics.max_drawdown(prices),
        "method": "historical simulation",
    }


def _prices(history: History) -> statistics.Prices:
    return np.array([price for _, price in history], dtype=np.float64)


def _as_of(history: History) -> str:
    """When the last price was observed."""
    return datetime.fromtimestamp(history[-1][0] / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _money(amount: float) -> str:
    """Eight significant digits, never with an exponent."""
    return format(Decimal(f"{amount:.8g}"), "f")
