"""CoinGecko's client, lists of coins, and the updater that keeps them warm."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryptosense.clock import ManualClock
from cryptosense.errors import (
    ConfigurationError,
    InvalidInput,
    StateUnavailable,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from cryptosense.services.cache import Cache, Outcome
from cryptosense.services.coingecko import CoinGecko
from cryptosense.services.market_data import MarketData, normalise_ids
from cryptosense.services.price_updater import PriceUpdater
from cryptosense.state.contracts import EntryKind, StateSet
from tests.services.conftest import Wire

URL = "https://api.coingecko.example/api/v3"
ROW: dict[str, Any] = {"id": "bitcoin", "symbol": "btc", "current_price": 50_000.5, "market_cap": None, "image": None}


class Provider:
    """Answers as CoinGecko does; counts, and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: Callable[[httpx.Request], httpx.Response] = self.rows

    def rows(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[{**ROW, "id": coin} for coin in request.url.params["ids"].split(",")])

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        await asyncio.sleep(0)
        return self.answer(request)

    @property
    def calls(self) -> int:
        return len(self.requests)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def connect(provider: Provider, windows: Wire, clock: ManualClock) -> AsyncIterator[Callable[..., CoinGecko]]:
    clients: list[CoinGecko] = []

    def build(url: str = URL, **more: Any) -> CoinGecko:
        clients.append(CoinGecko(url, windows, clock, **{"transport": httpx.MockTransport(provider), **more}))
        return clients[-1]

    yield build
    for client in clients:
        await client.aclose()


@pytest.fixture
async def instances(
    connect: Callable[..., CoinGecko], state: StateSet, clock: ManualClock
) -> AsyncIterator[list[MarketData]]:
    caches = [Cache(state.cache, clock) for _ in range(2)]
    yield [MarketData(cache, connect(), clock=clock) for cache in caches]
    for cache in caches:
        await cache.aclose()


@pytest.fixture
def market(instances: list[MarketData]) -> MarketData:
    return instances[0]


# The client -----------------------------------------------------------------------------------------------------------


async def test_the_call_is_the_documented_one(connect: Callable[..., CoinGecko], provider: Provider) -> None:
    assert await connect().markets(("bitcoin", "solana")) == [ROW, {**ROW, "id": "solana"}]
    (request,) = provider.requests
    assert request.url.path == "/api/v3/coins/markets"
    assert dict(request.url.params) == {
        "vs_currency": "usd",
        "ids": "bitcoin,solana",
        "order": "market_cap_desc",
        "per_page": "250",
        "page": "1",
        "sparkline": "false",
        "price_change_percentage": "24h",
    }


@pytest.mark.parametrize(
    ("url", "header"), [(URL, "x-cg-demo-api-key"), ("https://pro-api.coingecko.com/api/v3/", "x-cg-pro-api-key")]
)
async def test_a_key_goes_into_the_header_of_its_plan(
    connect: Callable[..., CoinGecko], provider: Provider, url: str, header: str
) -> None:
    await connect(url, api_key="k").markets(("bitcoin",))
    sent = provider.requests[0].headers
    assert {name: sent[name] for name in sent if name.startswith("x-cg")} == {header: "k"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 503])
async def test_every_other_status_is_no_answer(
    connect: Callable[..., CoinGecko], provider: Provider, status: int
) -> None:
    provider.answer = lambda _: httpx.Response(status, json={"status": {"error_code": status}})
    with pytest.raises(UpstreamUnavailable, match=str(status)):
        await connect().markets(("bitcoin",))


@pytest.mark.parametrize(
    "body", [b"", b"oops", b'"oops"', b"{}", b"[1]", b'[{"id": null}]', b'[{"symbol": "btc"}]', b"[NaN]"]
)
async def test_an_answer_of_another_shape_is_no_answer(
    connect: Callable[..., CoinGecko], provider: Provider, body: bytes
) -> None:
    provider.answer = lambda _: httpx.Response(200, content=body)
    with pytest.raises(UpstreamUnavailable):
        await connect().markets(("bitcoin",))


async def test_a_row_may_be_null_in_every_field_but_its_id(
    connect: Callable[..., CoinGecko], provider: Provider
) -> None:
    bare = {"id": "bitcoin", **dict.fromkeys(ROW.keys() - {"id"})}
    provider.answer = lambda _: httpx.Response(200, json=[bare])
    assert await connect().markets(("bitcoin",)) == [bare]


async def test_a_connection_that_fails_is_no_answer(connect: Callable[..., CoinGecko], provider: Provider) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    provider.answer = refuse
    with pytest.raises(UpstreamUnavailable, match="ConnectError"):
        await connect().markets(("bitcoin",))


async def test_a_provider_that_hangs_is_given_up(connect: Callable[..., CoinGecko]) -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    client = connect(timeout_s=0.02, transport=httpx.MockTransport(hang))
    with pytest.raises(UpstreamUnavailable, match=r"within 0\.02 s"):
        await client.markets(("bitcoin",))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("Tue, 14 Nov 2023 22:13:30 GMT", 10), (None, 30), ("soon", 30), ("-5", 30), ("999999999", 3600)],
)
async def test_retry_after_is_honoured_without_asking_again(
    connect: Callable[..., CoinGecko], provider: Provider, clock: ManualClock, header: str | None, seconds: float
) -> None:
    client = connect()
    provider.answer = lambda _: httpx.Response(429, headers={} if header is None else {"retry-after": header})
    for _ in range(3):
        with pytest.raises(UpstreamThrottled) as refused:
            await client.markets(("bitcoin",))
        assert refused.value.retry_after == pytest.approx(seconds)
    assert provider.calls == 1
    provider.answer = provider.rows
    clock.advance(seconds + 0.1)
    await client.markets(("bitcoin",))


async def test_the_spacing_of_calls_is_shared_by_all_instances(
    connect: Callable[..., CoinGecko], provider: Provider, clock: ManualClock
) -> None:
    clients = [connect(calls_per_minute=2, burst=2) for _ in range(3)]
    results = await asyncio.gather(*(client.markets(("bitcoin",)) for client in clients * 3), return_exceptions=True)
    assert sum(isinstance(result, list) for result in results) == 2 == provider.calls
    refused = next(result for result in results if isinstance(result, UpstreamThrottled))
    assert 0 < refused.retry_after <= 30
    clock.advance(30)
    await clients[2].markets(("bitcoin",))


async def test_without_the_state_each_process_spaces_its_own_calls(
    connect: Callable[..., CoinGecko], provider: Provider, windows: Wire
) -> None:
    client = connect(calls_per_minute=2, burst=1)
    windows.down = StateUnavailable("down")
    await client.markets(("bitcoin",))
    with pytest.raises(UpstreamThrottled):
        await client.markets(("bitcoin",))
    assert provider.calls == 1


async def test_a_call_waits_for_its_turn_when_that_is_near(
    connect: Callable[..., CoinGecko], provider: Provider, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    client = connect(calls_per_minute=60, burst=1)
    monkeypatch.setattr("cryptosense.services.coingecko.asyncio.sleep", sleep)
    for _ in range(2):
        await client.markets(("bitcoin",))
    assert provider.calls == 2
    assert 1 <= sum(seconds for seconds in slept if seconds) <= 1.3


async def test_a_price_history_is_ordered_and_free_of_gaps(
    connect: Callable[..., CoinGecko], provider: Provider
) -> None:
    points = [[2000, 2.0], [1000, 1.0], [3000, None], [4000, 0], [2000, 2.5]]
    provider.answer = lambda _: httpx.Response(200, json={"prices": points, "market_caps": [], "total_volumes": []})
    assert await connect().market_chart("bitcoin", days=30) == [(1000, 1.0), (2000, 2.5)]
    assert provider.requests[0].url.path == "/api/v3/coins/bitcoin/market_chart"


async def test_a_coin_that_is_not_known_has_no_history(connect: Callable[..., CoinGecko], provider: Provider) -> None:
    provider.answer = lambda _: httpx.Response(404, json={"error": "coin not found"})
    assert await connect().market_chart("nocoin", days=30) is None


@pytest.mark.parametrize("body", [[], {"prices": None}, {"prices": [1]}, {"prices": [[1]]}])
async def test_a_history_of_another_shape_is_no_answer(
    connect: Callable[..., CoinGecko], provider: Provider, body: object
) -> None:
    provider.answer = lambda _: httpx.Response(200, json=body)
    with pytest.raises(UpstreamUnavailable):
        await connect().market_chart("bitcoin", days=30)


def test_a_url_that_is_none_is_one_clear_line(windows: Wire, clock: ManualClock) -> None:
    for url in ("http://[", "ftp://x", "nonsense", ""):
        with pytest.raises(ConfigurationError, match="COINGECKO_URL"):
            CoinGecko(url, windows, clock)


# Lists ----------------------------------------------------------------------------------------------------------------


async def test_cache_5_spellings_of_one_list_are_one_key(market: MarketData, provider: Provider) -> None:
    for ids in (["bitcoin"], ["bitcoin", "bitcoin"], ["Bitcoin"], [" bitcoin\t"], ("BITCOIN", "bitcoin ")):
        await market.tokens(ids)
    assert provider.calls == 1
    await market.tokens(["solana", "bitcoin"])
    await market.tokens(["bitcoin", "solana"])
    assert provider.calls == 2


async def test_cache_5_the_callers_list_is_left_as_it_is(market: MarketData) -> None:
    ids = ["solana", "Bitcoin", "solana"]
    await market.tokens(ids)
    await market.invalidate(ids)
    assert ids == ["solana", "Bitcoin", "solana"]


async def test_cache_5_invalidating_a_coin_drops_every_list_with_it_on_every_instance(
    instances: list[MarketData], provider: Provider
) -> None:
    lists = [["bitcoin"], ["aave", "bitcoin"], ["solana"], [f"a-coin-{number}" for number in range(60)] + ["bitcoin"]]
    for ids in lists:
        await instances[0].tokens(ids)
    assert await instances[1].invalidate(["Bitcoin"]) == 3
    outcomes = [(await instances[0].tokens(ids)).outcome for ids in lists]
    assert outcomes == [Outcome.MISS, Outcome.MISS, Outcome.HIT, Outcome.MISS]
    assert provider.calls == 7


async def test_invalidating_everything_drops_every_list(instances: list[MarketData], provider: Provider) -> None:
    for ids in (["bitcoin"], ["solana"]):
        await instances[0].tokens(ids)
    assert await instances[1].invalidate() == 2
    assert (await instances[0].tokens(["solana"])).outcome is Outcome.MISS


async def test_a_price_history_is_cached_and_a_failure_of_it_reaches_who_needs_it(
    instances: list[MarketData], provider: Provider
) -> None:
    provider.answer = lambda _: httpx.Response(200, json={"prices": [[1000, 1.5], [2000, 2.5]]})
    for market in instances:
        assert await market.history(" Bitcoin") == [(1000, 1.5), (2000, 2.5)]
    provider.answer = lambda _: httpx.Response(404)
    assert await instances[0].history("nocoin") is None
    provider.answer = lambda _: httpx.Response(500)
    for market in instances:
        with pytest.raises(UpstreamUnavailable):
            await market.history("solana")
    assert provider.calls == 3


def test_ids_are_in_one_order() -> None:
    ids = [f"c{number}" for number in range(50)]
    assert normalise_ids(reversed(ids)) == tuple(sorted(ids))


async def test_the_answer_is_in_coingeckos_shape(market: MarketData) -> None:
    assert (await market.tokens(["bitcoin"])).value() == {"tokens": [ROW]}


async def test_cache_3_a_list_outlives_an_outage_of_the_provider(
    market: MarketData, provider: Provider, clock: ManualClock
) -> None:
    await market.tokens(["bitcoin"])
    clock.advance(40)
    provider.answer = lambda _: httpx.Response(500)
    stale = await market.tokens(["bitcoin"])
    assert (stale.outcome, stale.value()) == (Outcome.STALE, {"tokens": [ROW]})
    assert (await market.tokens(["solana"])).kind is EntryKind.NEGATIVE
    assert (await market.tokens(["solana"])).outcome is Outcome.NEGATIVE
    assert provider.calls == 3


@pytest.mark.parametrize(
    "ids", [[], [""], ["*"], ["bit coin"], ["bitcoin\x00"], ["../x"], [".."], ["a/b"], ["x" * 101], ["x" * 1_000_000],
            ["\u0130"], ["bitcoin,solana"], ["?x=1"], [f"c{number}" for number in range(251)]]
)  # fmt: skip
def test_what_is_no_list_of_coins_is_refused(ids: list[str]) -> None:
    with pytest.raises(InvalidInput):
        normalise_ids(ids)


@given(st.lists(st.text(max_size=20) | st.from_regex(r"[ A-Za-z0-9._-]{1,20}", fullmatch=True), max_size=8))
def test_a_list_is_normal_or_refused(ids: list[str]) -> None:
    before = list(ids)
    try:
        normal = normalise_ids(ids)
    except InvalidInput:
        return
    finally:
        assert ids == before
    assert list(normal) == sorted(set(normal))
    assert normalise_ids(normal) == normal == normalise_ids(reversed(ids)) == normalise_ids(i.upper() for i in normal)


# The updater ----------------------------------------------------------------------------------------------------------


async def test_hot_lists_are_refreshed_as_they_expire_and_never_before(
    market: MarketData, state: StateSet, provider: Provider, clock: ManualClock
) -> None:
    updater = PriceUpdater(market, state.leaders, clock, instance="a")
    assert await updater.round() == 2.0  # nobody has asked for anything yet
    await market.tokens(["bitcoin"])
    for _ in range(29):
        assert 0 < await updater.round() <= 2.0
        clock.advance(1)
    assert provider.calls == 1
    clock.advance(5)
    await updater.round()
    assert (provider.calls, updater.refreshed) == (2, 1)
    assert (await market.tokens(["bitcoin"])).outcome is Outcome.HIT


async def test_a_list_that_nobody_asks_for_cools_down(
    market: MarketData, state: StateSet, provider: Provider, clock: ManualClock
) -> None:
    updater = PriceUpdater(market, state.leaders, clock, instance="a")
    await market.tokens(["bitcoin"])
    for _ in range(300):
        await updater.round()
        clock.advance(1)
    assert provider.calls <= 1 + 90 // 30


async def test_one_instance_at_a_time_refreshes(
    instances: list[MarketData], state: StateSet, provider: Provider, clock: ManualClock
) -> None:
    updaters = [PriceUpdater(m, state.leaders, clock, instance=name) for m, name in zip(instances, "ab", strict=True)]
    for market in instances:
        await market.tokens(["bitcoin"])
    for _ in range(80):
        clock.advance(1)
        for updater in updaters:
            await updater.round()
    assert updaters[0].refreshed == provider.calls - 1 == 2
    assert updaters[1].refreshed == 0


async def test_another_instance_takes_over_from_a_leader_that_stopped_or_died(
    instances: list[MarketData], state: StateSet, clock: ManualClock
) -> None:
    first, second = (
        PriceUpdater(m, state.leaders, clock, instance=name) for m, name in zip(instances, "ab", strict=True)
    )
    for market in instances:
        await market.tokens(["bitcoin"])
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.05)
    clock.advance(40)
    await second.round()
    assert second.refreshed == 1  # the lead had run out: the first one's pause is longer than its lead by this clock
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    clock.advance(5)
    await second.round()
    clock.advance(40)
    await first.round()
    assert first.refreshed == 1


async def test_a_leader_that_stops_gives_the_lead_away(
    instances: list[MarketData], state: StateSet, clock: ManualClock
) -> None:
    for market in instances:
        await market.tokens(["bitcoin"])
    running = asyncio.create_task(PriceUpdater(instances[0], state.leaders, clock, instance="a").run())
    await asyncio.sleep(0.05)
    assert not await state.leaders.lead("price-updater", "b", ttl_ms=1000)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await state.leaders.lead("price-updater", "b", ttl_ms=1000)


async def test_the_updater_outlives_outages(
    market: MarketData, state: StateSet, provider: Provider, clock: ManualClock
) -> None:
    leaders = Wire(state.leaders)
    updater = PriceUpdater(market, leaders, clock, instance="a")
    await market.tokens(["bitcoin"])
    leaders.down = StateUnavailable("down")
    clock.advance(40)
    assert await updater.round() == 2.0
    leaders.down = None
    provider.answer = lambda _: httpx.Response(500)
    await updater.round()
    provider.answer = provider.rows
    clock.advance(5)
    await updater.round()
    assert (await market.tokens(["bitcoin"])).outcome is Outcome.HIT
