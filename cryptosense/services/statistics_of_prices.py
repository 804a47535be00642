"""Well-known statistics of a price history; plain functions of arrays, without any pretence to foresee markets.

All take `prices`, a one-dimensional array of positive daily prices, oldest first, at least `FEWEST` of them.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Prices = NDArray[np.float64]

FEWEST = 15
DAYS_A_YEAR = 365  # these markets never close


@dataclass(frozen=True, slots=True)
class Forecast:
    """A price in `horizon_days` and the interval that holds it with probability `level`, if the past goes on."""

    price: float
    low: float
    high: float
    level: float
    horizon_days: int
    drift_daily: float


@dataclass(frozen=True, slots=True)
class Backtest:
    """Mean absolute percentage errors of past forecasts, and of the naive forecast "as today"; shares, not per cent."""

    forecasts: int
    error: float
    naive_error: float
    coverage: float  # share of the intervals that held the price


def log_returns(prices: Prices) -> Prices:
    """r_t = ln(P_t / P_{t-1})."""
    return np.diff(np.log(prices))


def forecast(prices: Prices, *, horizon_days: int, level: float = 0.9, resamples: int = 2000) -> Forecast:
    """Random walk with drift on log prices, with an interval by a moving-block bootstrap of the returns.

    Point: P_n * exp(h * m), m the mean daily log return (Hyndman and Athanasopoulos, Forecasting: Principles and
    Practice, 3rd ed., 5.2, drift method). Interval: sums of h returns drawn in blocks of about n^(1/3) days, which
    keeps short-range dependence such as clustered volatility (Kunsch 1989, The jackknife and the bootstrap for general
    stationary observations, Annals of Statistics 17). The draw is seeded by the data: same prices, same answer.
    """
    returns = log_returns(prices)
    drift = float(np.mean(returns))
    generator = np.random.default_rng(zlib.crc32(prices.tobytes()))
    paths = _block_sums(returns, horizon_days, resamples, generator)
    low, high = np.quantile(paths, [(1 - level) / 2, (1 + level) / 2])
    last = float(prices[-1])
    return Forecast(
        price=last * float(np.exp(horizon_days * drift)),
        low=last * float(np.exp(low)),
        high=last * float(np.exp(high)),
        level=level,
        horizon_days=horizon_days,
        drift_daily=drift,
    )


def backtest(prices: Prices, *, horizon_days: int, forecasts: int = 30) -> Backtest | None:
    """The same forecast made on past days, each with only what was known then; None for too short a history.

    Rolling origin (Hyndman and Athanasopoulos, 5.10): origins are the last `forecasts` days with a known outcome.
    """
    first = max(FEWEST, len(prices) - horizon_days - forecasts)
    origins = range(first, len(prices) - horizon_days)
    if not origins:
        return None
    errors, naive, held = [], [], []
    for origin in origins:
        known, actual = prices[: origin + 1], float(prices[origin + horizon_days])
        made = forecast(known, horizon_days=horizon_days, resamples=400)
        errors.append(abs(made.price - actual) / actual)
        naive.append(abs(float(known[-1]) - actual) / actual)
        held.append(made.low <= actual <= made.high)
    return Backtest(len(errors), float(np.mean(errors)), float(np.mean(naive)), float(np.mean(held)))


def annual_volatility(prices: Prices) -> float:
    """Standard deviation of daily log returns (n - 1 in the denominator) times the square root of 365."""
    return float(np.std(log_returns(prices), ddof=1) * np.sqrt(DAYS_A_YEAR))


def historical_loss(prices: Prices, *, level: float = 0.95) -> tuple[float, float]:
    """One-day value at risk and expected shortfall by historical simulation, as shares of the value (losses positive).

    VaR: minus the (1 - level) quantile of simple daily returns; ES: minus the mean of the returns at or below it
    (McNeil, Frey and Embrechts, Quantitative Risk Management, 2.2.2 and 2.2.4). Neither is below 0.
    """
    returns = np.diff(prices) / prices[:-1]
    rank = round(1 - level, 12)  # 1 - 0.95 is a little more than 0.05, and would count one return too many
    quantile = np.quantile(returns, rank, method="inverted_cdf")
    shortfall = float(np.mean(returns[returns <= quantile]))
    return max(0.0, -float(quantile)), max(0.0, -shortfall)


def max_drawdown(prices: Prices) -> float:
    """The largest fall from an earlier high: max over t of 1 - P_t / max(P_1..P_t); a share between 0 and 1."""
    return float(np.max(1 - prices / np.maximum.accumulate(prices)))


def _block_sums(returns: Prices, length: int, resamples: int, generator: np.random.Generator) -> Prices:
    """Sums of `length` returns, drawn as blocks of neighbours with replacement; one per resample."""
    block = max(1, min(length, round(len(returns) ** (1 / 3))))
    blocks = -(-length // block)
    starts = generator.integers(0, len(returns) - block + 1, size=(resamples, blocks))
    days: NDArray[Any] = (starts[:, :, np.newaxis] + np.arange(block)).reshape(resamples, -1)[:, :length]
    return np.asarray(returns[days].sum(axis=1), dtype=np.float64)
