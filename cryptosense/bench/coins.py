"""The list of coins that caches are measured with."""

from typing import Any

COINS = 250


def coin_list(coins: int = COINS) -> list[dict[str, Any]]:
    """Rows of about 890 bytes in CoinGecko's shape; 250 of them are about 223 KB of JSON."""
    return [
        {
            "id": f"coin-{number}",
            "symbol": f"c{number}",
            "name": f"Coin number {number}",
            "image": f"https://assets.example/coins/images/{number}/large/coin-{number}.png?1696501400",
            "current_price": 64123.12 / (number + 1),
            "market_cap": 1_263_411_223_112 // (number + 1),
            "market_cap_rank": number + 1,
            "fully_diluted_valuation": 1_345_211_223_112 // (number + 1),
            "total_volume": 23_411_223_112 // (number + 1),
            "high_24h": 65000.0 / (number + 1),
            "low_24h": 63000.0 / (number + 1),
            "price_change_24h": 812.3112 / (number + 1),
            "price_change_percentage_24h": 1.28312 + number / 977,
            "market_cap_change_24h": 15_211_223_112.0 / (number + 1),
            "market_cap_change_percentage_24h": 1.21881 + number / 911,
            "circulating_supply": 19_701_234.0 + number * 7,
            "total_supply": 21_000_000.0,
            "max_supply": None if number % 3 else 21_000_000.0,
            "ath": 73_738.0 / (number + 1),
            "ath_change_percentage": -13.00112 - number / 997,
            "ath_date": "2024-03-14T07:10:36.635Z",
            "atl": 67.81 / (number + 1),
            "atl_change_percentage": 94_456.12,
            "atl_date": "2013-07-06T00:00:00.000Z",
            "roi": None,
            "last_updated": "2025-10-08T12:00:00.000Z",
        }
        for number in range(coins)
    ]
