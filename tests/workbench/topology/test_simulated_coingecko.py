"""The market that never existed, and the provider's manners."""

import pytest
from aiohttp.test_utils import TestClient, TestServer

from cryptosense.workbench.topology.market import Market, price
from cryptosense.workbench.topology.simulated_coingecko import Quota, Settings, SimulatedCoinGecko

NOON = 1_760_000_000.0
# fmt: off
MARKET_FIELDS = [
    "id", "symbol", "name", "image", "current_price", "market_cap", "market_cap_rank", "fully_diluted_valuation",
    "total_volume", "high_24h", "low_24h", "price_change_24h", "price_change_percentage_24h", "market_cap_change_24h",
    "market_cap_change_percentage_24h", "circulating_supply", "total_supply", "max_supply", "ath",
    "ath_change_percentage", "ath_date", "atl", "atl_change_percentage", "atl_date", "roi", "last_updated",
]
# fmt: on


@pytest.fixture
async def api():
    application = SimulatedCoinGecko(Settings(latency_ms=(0, 0)), seed=1, now=lambda: NOON).application()
    async with TestClient(TestServer(application)) as client:
        yield client


def test_the_same_seed_and_moment_give_the_same_market_and_another_seed_another():
    first, again, other = Market(1), Market(1), Market(2)
    assert first.rows(first.coins, NOON) == again.rows(again.coins, NOON)
    assert first.rows(first.coins, NOON) != other.rows(other.coins, NOON)


def test_a_chart_ends_where_the_list_stands_and_prices_are_positive():
    market = Market(1)
    bitcoin = market.coin("bitcoin")
    chart = market.chart(bitcoin, NOON - 86_400, NOON, 300)
    assert chart["prices"][-1] == [int(NOON * 1000), price(bitcoin, NOON)]
    assert market.rows([bitcoin], NOON)[0]["current_price"] == chart["prices"][-1][1]
    assert min(value for _, value in chart["prices"]) > 0
    assert len(chart["prices"]) == pytest.approx(289, abs=1)


async def test_a_list_of_250_coins_has_the_real_fields_with_nulls_and_the_real_size(api):
    answer = await api.get("/api/v3/coins/markets", params={"vs_currency": "usd", "per_page": 250})
    rows = await answer.json()
    assert len(rows) == 250
    assert list(rows[0]) == MARKET_FIELDS
    for nullable in ("fully_diluted_valuation", "total_supply", "max_supply", "roi"):
        assert {row[nullable] is None for row in rows} == {True, False}
    assert 180_000 < len(await answer.read()) < 280_000


async def test_ids_choose_and_unknown_ones_are_left_out(api):
    params = {"vs_currency": "usd", "ids": "solana,Bitcoin,nonsense", "price_change_percentage": "24h"}
    rows = await (await api.get("/api/v3/coins/markets", params=params)).json()
    assert [row["id"] for row in rows] == ["bitcoin", "solana"]
    assert "price_change_percentage_24h_in_currency" in rows[0]
    assert rows[0]["last_updated"] == "2025-10-09T08:53:20.000Z"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/coins/markets", 422),
        ("/coins/markets?vs_currency=usd&per_page=251", 422),
        ("/coins/markets?vs_currency=usd&page=x", 422),
        ("/coins/nonsense/market_chart?vs_currency=usd&days=1", 404),
        ("/coins/bitcoin/market_chart?vs_currency=usd", 422),
        ("/coins/bitcoin/market_chart?vs_currency=usd&days=30", 200),
    ],
)
async def test_malformed_questions_are_refused_as_the_provider_does(api, path, status):
    assert (await api.get("/api/v3" + path)).status == status


async def test_calls_are_counted_for_each_list_whatever_its_order(api):
    for ids in ("bitcoin,solana", "solana,bitcoin", "bitcoin"):
        await api.get("/api/v3/coins/markets", params={"vs_currency": "usd", "ids": ids})
    counted = [
        await (await api.get("/_control/calls", params={"ids": ids})).json() for ids in ("solana,bitcoin", "tron")
    ]
    assert counted == [{"calls": 2}, {"calls": 0}]


def test_the_quota_is_a_sliding_minute_and_says_when_there_is_room_again():
    quota = Quota()
    assert [quota.retry_after(2, at) for at in (0.0, 10.0)] == [0, 0]
    assert quota.retry_after(2, 20.0) == 40.0
    assert quota.retry_after(2, 59.5) == 0.5
    assert quota.retry_after(2, 60.0) == 0  # the first has left; the refused took no place
    assert quota.retry_after(2, 60.0) == 10.0
    assert quota.retry_after(0, 60.0) == 0
