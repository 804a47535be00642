"""Predictions and risk: the formulas against what can be computed by hand, and their caching."""

import asyncio
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryptosense.clock import ManualClock
from cryptosense.errors import InvalidInput, UpstreamUnavailable
from cryptosense.services import statistics_of_prices as statistics
from cryptosense.services.cache import Cache, Outcome
from cryptosense.services.insights import Insights, assess, daily, predict
from cryptosense.services.market_data import normalise_id
from cryptosense.state.contracts import EntryKind, StateSet

DAY_MS = 86_400_000


def history(prices: list[float]) -> list[tuple[int, float]]:
    return [(1_700_006_400_000 + day * DAY_MS, price) for day, price in enumerate(prices)]


def random_walk(days: int, *, drift: float = 0.001, volatility: float = 0.03, seed: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.asarray(100 * np.exp(np.cumsum(generator.normal(drift, volatility, days))))


class Market:
    """Stands in for the market data."""

    def __init__(self, prices: list[float] | None) -> None:
        self.points = None if prices is None else history(prices)
        self.error: Exception | None = None
        self.calls = 0

    async def history(self, coin: str) -> list[tuple[int, float]] | None:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return self.points


def insights(market: Any, state: StateSet, clock: ManualClock) -> Insights:
    return Insights(Cache(state.cache, clock), market, clock)


def test_a_price_that_grows_evenly_is_foreseen_exactly() -> None:
    prices = np.array([100 * 1.01**day for day in range(60)])
    made = statistics.forecast(prices, horizon_days=7)
    assert made.price == pytest.approx(100 * 1.01**66)
    assert made.low == pytest.approx(made.high) == pytest.approx(made.price)
    past = statistics.backtest(prices, horizon_days=7)
    assert past is not None
    assert past.forecasts == 30
    assert past.error == pytest.approx(0, abs=1e-9)
    assert past.naive_error == pytest.approx(1 - 1.01**-7)


def test_the_interval_holds_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        prices = random_walk(187, seed=seed)
        made = statistics.forecast(prices[:180], horizon_days=7, resamples=400)
        held += made.low <= prices[186] <= made.high
    assert 0.82 <= held / 200 <= 0.96


def test_the_interval_is_as_wide_as_a_random_walks() -> None:
    prices = random_walk(2000, drift=0, volatility=0.02)
    made = statistics.forecast(prices, horizon_days=9)
    width = math.log(made.high / made.low)
    assert width == pytest.approx(2 * 1.645 * 0.02 * 3, rel=0.15)


def test_volatility_is_the_annual_standard_deviation_of_log_returns() -> None:
    prices = np.exp(np.array([0.0, 0.1, 0.0, 0.1, 0.0]))
    assert statistics.annual_volatility(prices) == pytest.approx(0.1 * math.sqrt(4 / 3) * math.sqrt(365))
    assert statistics.annual_volatility(random_walk(5000, volatility=0.03)) == pytest.approx(
        0.03 * math.sqrt(365), rel=0.05
    )


def test_losses_are_those_of_the_worst_days() -> None:
    returns = [0.01] * 95 + [-0.10, -0.20, -0.30, -0.05, -0.02]
    prices = np.cumprod([100.0, *(1 + r for r in returns)])
    value_at_risk, shortfall = statistics.historical_loss(prices)
    assert value_at_risk == pytest.approx(0.02)
    assert shortfall == pytest.approx((0.10 + 0.20 + 0.30 + 0.05 + 0.02) / 5)


def test_a_price_that_never_falls_has_no_loss() -> None:
    prices = np.array([100 * 1.01**day for day in range(60)])
    assert statistics.historical_loss(prices) == (0.0, 0.0)
    assert statistics.max_drawdown(prices) == 0.0


def test_the_drawdown_is_from_the_highest_point_before() -> None:
    assert statistics.max_drawdown(np.array([100.0, 200, 150, 50, 180, 100])) == pytest.approx(0.75)


@given(st.lists(st.floats(1e-9, 1e9), min_size=statistics.FEWEST, max_size=40))
@settings(deadline=None, max_examples=25)
def test_any_prices_give_finite_figures_within_their_ranges(prices: list[float]) -> None:
    risk = assess("x", history(prices))
    assert 0 <= risk["value_at_risk"]["share"] <= risk["expected_shortfall"]["share"] + 1e-12 <= 1 + 1e-9
    assert 0 <= risk["max_drawdown"] <= 1
    assert math.isfinite(risk["annual_volatility"])
    made = predict("x", history(prices))
    low, middle, high = (float(made["interval"]["low"]), float(made["price"]), float(made["interval"]["high"]))
    assert 0 <= low <= high
    assert middle > 0
    assert "e" not in made["predicted_price"]


def test_the_same_prices_give_the_same_prediction() -> None:
    prices = [float(price) for price in random_walk(120)]
    assert predict("bitcoin", history(prices)) == predict("bitcoin", history(prices))
    assert predict("bitcoin", history(prices))["as_of"] == "2024-03-13T00:00:00Z"


def test_the_last_price_of_a_day_stands_for_it() -> None:
    points = [(0, 1.0), (DAY_MS - 1, 2.0), (DAY_MS, 3.0), (DAY_MS + 5, 4.0)]
    assert daily(points) == [(DAY_MS - 1, 2.0), (DAY_MS + 5, 4.0)]


async def test_both_are_computed_once_and_then_served(state: StateSet, clock: ManualClock) -> None:
    market = Market([float(price) for price in random_walk(100)])
    here, there = insights(market, state, clock), insights(market, state, clock)
    for each in (here, there, here):
        prediction, risk = await asyncio.gather(each.prediction(" Bitcoin"), each.risk("bitcoin"))
        assert prediction.value()["prediction"]["coin"] == "bitcoin"
        assert {"as_of", "predicted_price", "interval"} <= prediction.value()["prediction"].keys()
        assert {"as_of", "annual_volatility", "max_drawdown"} <= risk.value()["risk"].keys()
    assert (prediction.outcome, risk.outcome) == (Outcome.HIT, Outcome.HIT)
    assert here.computed + there.computed == 2


@pytest.mark.parametrize("prices", [None, [], [1.0] * 5])
async def test_a_coin_without_enough_history_has_no_insights(
    state: StateSet, clock: ManualClock, prices: list[float] | None
) -> None:
    about = insights(Market(prices), state, clock)
    assert (await about.risk("nocoin")).kind is EntryKind.NULL
    assert (await about.risk("nocoin")).outcome is Outcome.HIT


async def test_a_provider_that_fails_is_not_the_end_of_what_is_known(state: StateSet, clock: ManualClock) -> None:
    market = Market([float(price) for price in random_walk(100)])
    about = insights(market, state, clock)
    await about.risk("bitcoin")
    market.error = UpstreamUnavailable("down")
    clock.advance(400)
    assert (await about.risk("bitcoin")).outcome is Outcome.STALE
    assert (await about.prediction("bitcoin")).kind is EntryKind.NEGATIVE


async def test_what_is_no_coin_is_refused_before_anything_is_asked(state: StateSet, clock: ManualClock) -> None:
    market = Market([])
    for coin in ("*", "", "a/b", "x" * 500, "..", "\x00"):
        with pytest.raises(InvalidInput):
            await insights(market, state, clock).prediction(coin)
    assert market.calls == 0
    assert normalise_id(" Bitcoin ") == "bitcoin"
