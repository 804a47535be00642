"""A market that never existed: prices for any coin at any moment, the same for the same seed.

A coin's log price is a sum of smooth noise over periods from five minutes to a year whose amplitude grows with the
square root of the period, which is how a random walk spreads. So a chart and a list of the same moment agree, and no
state is kept.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

LISTED = 250
"""As many coins as CoinGecko puts on its largest page."""

_PERIODS_S = (300.0, 1_800.0, 10_800.0, 64_800.0, 432_000.0, 2_592_000.0, 15_552_000.0)
_DAILY_SPREAD = 0.035  # standard deviation of a day's log return, a usual one for a large coin
_KNOWN = (
    ("bitcoin", "btc", "Bitcoin"), ("ethereum", "eth", "Ethereum"), ("tether", "usdt", "Tether"),
    ("ripple", "xrp", "XRP"), ("binancecoin", "bnb", "BNB"), ("solana", "sol", "Solana"), ("usd-coin", "usdc", "USDC"),
    ("dogecoin", "doge", "Dogecoin"), ("tron", "trx", "TRON"), ("cardano", "ada", "Cardano"),
    ("chainlink", "link", "Chainlink"), ("avalanche-2", "avax", "Avalanche"), ("stellar", "xlm", "Stellar"),
    ("litecoin", "ltc", "Litecoin"), ("polkadot", "dot", "Polkadot"), ("uniswap", "uni", "Uniswap"),
    ("monero", "xmr", "Monero"), ("cosmos", "atom", "Cosmos Hub"), ("aptos", "apt", "Aptos"), ("near", "near", "NEAR"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Coin:
    """What does not change about a coin."""

    rank: int
    id: str
    symbol: str
    name: str
    base_price: float
    supply: float
    capped: bool
    has_roi: bool
    noise: int


class Market:
    """Every coin of one seed."""

    def __init__(self, seed: int) -> None:
        self.coins: Sequence[Coin] = tuple(_coin(seed, rank) for rank in range(1, LISTED + 1))
        self._by_id = {coin.id: coin for coin in self.coins}

    def coin(self, name: str) -> Coin | None:
        return self._by_id.get(name)

    def rows(self, coins: Sequence[Coin], at: float, changes: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Rows of `/coins/markets` at Unix time `at`; `changes` are the asked-for `price_change_percentage` periods."""
        return [_row(coin, at, changes) for coin in coins]

    def chart(self, coin: Coin, start: float, end: float, step: float) -> dict[str, list[list[float]]]:
        """Series of `/coins/{id}/market_chart`: pairs of Unix milliseconds and a value in the currency."""
        first = math.ceil(start / step)
        moments = [index * step for index in range(first, math.floor(end / step) + 1)] + [end]
        prices = [price(coin, at) for at in moments]
        stamps = [int(at * 1000) for at in moments]
        return {
            "prices": [[at, value] for at, value in zip(stamps, prices, strict=True)],
            "market_caps": [[at, value * coin.supply] for at, value in zip(stamps, prices, strict=True)],
            "total_volumes": [[at, value * coin.supply * 0.03] for at, value in zip(stamps, prices, strict=True)],
        }


def price(coin: Coin, at: float) -> float:
    """The coin's price in the currency at Unix time `at`."""
    return coin.base_price * math.exp(sum(_octave(coin.noise, index, at) for index in range(len(_PERIODS_S))))


def _octave(noise: int, index: int, at: float) -> float:
    """One period's share: seeded values at its multiples, joined by a cubic that is flat at both ends."""
    period = _PERIODS_S[index]
    step, position = divmod(at / period, 1.0)
    before, after = _unit(noise, index, int(step)), _unit(noise, index, int(step) + 1)
    eased = position * position * (3.0 - 2.0 * position)
    return _DAILY_SPREAD * math.sqrt(period / 86_400.0) * (before + (after - before) * eased)


def _unit(*words: int) -> float:
    """Evenly spread over -1..1, fixed by the words (splitmix64's finaliser over a running mix)."""
    mixed = 0x9E3779B97F4A7C15
    for word in words:
        mixed = ((mixed ^ (word & 0xFFFFFFFFFFFFFFFF)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        mixed ^= mixed >> 29
    mixed = (mixed * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (mixed ^ (mixed >> 32)) / 2**63 - 1.0


@cache
def _coin(seed: int, rank: int) -> Coin:
    known = (
        _KNOWN[rank - 1] if rank <= len(_KNOWN) else (f"simulated-coin-{rank}", f"s{rank}", f"Simulated Coin {rank}")
    )
    share = _unit(seed, rank, 1)
    capitalisation = 2.0e12 / rank**1.3
    base = 10 ** (2.0 * _unit(seed, rank, 2)) if rank > 1 else 60_000.0
    return Coin(rank, *known, base, capitalisation / base, share > 0.2, _unit(seed, rank, 3) > 0.7, seed * 1_000 + rank)


def _row(coin: Coin, at: float, changes: Sequence[str]) -> dict[str, Any]:
    now, day_ago = price(coin, at), price(coin, at - 86_400)
    day = [price(coin, at - 86_400 * part / 8) for part in range(9)]
    capitalisation, capitalisation_before = now * coin.supply, day_ago * coin.supply
    highest, lowest = coin.base_price * 2.6, coin.base_price * 0.02
    # Stablecoins and young coins have no cap on supply, and most coins no return on investment: null, as the real API.
    row: dict[str, Any] = {
        "id": coin.id,
        "symbol": coin.symbol,
        "name": coin.name,
        "image": f"https://coin-images.coingecko.com/coins/images/{coin.rank}/large/{coin.id}.png?1696501400",
        "current_price": now,
        "market_cap": round(capitalisation),
        "market_cap_rank": coin.rank,
        "fully_diluted_valuation": round(capitalisation * 1.1) if coin.capped else None,
        "total_volume": round(capitalisation * 0.03),
        "high_24h": max(day),
        "low_24h": min(day),
        "price_change_24h": now - day_ago,
        "price_change_percentage_24h": round(100 * (now / day_ago - 1), 5),
        "market_cap_change_24h": capitalisation - capitalisation_before,
        "market_cap_change_percentage_24h": round(100 * (capitalisation / capitalisation_before - 1), 5),
        "circulating_supply": coin.supply,
        "total_supply": coin.supply * 1.1 if coin.capped else None,
        "max_supply": coin.supply * 1.1 if coin.capped else None,
        "ath": highest,
        "ath_change_percentage": round(100 * (now / highest - 1), 5),
        "ath_date": "2021-11-10T14:24:11.849Z",
        "atl": lowest,
        "atl_change_percentage": round(100 * (now / lowest - 1), 5),
        "atl_date": "2015-01-14T00:00:00.000Z",
        "roi": {"times": 31.4, "currency": "btc", "percentage": 3140.1} if coin.has_roi else None,
        "last_updated": _iso(at),
    }
    for period in changes:
        before = price(coin, at - _SECONDS[period])
        row[f"price_change_percentage_{period}_in_currency"] = round(100 * (now / before - 1), 5)
    return row


_SECONDS = {"1h": 3_600, "24h": 86_400, "7d": 604_800, "14d": 1_209_600, "30d": 2_592_000, "200d": 17_280_000}
CHANGE_PERIODS = frozenset(_SECONDS)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
