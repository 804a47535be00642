"""A client of CoinGecko's API (v3): `/coins/markets` and `/coins/{id}/market_chart`.

Calls are spaced by a quota that all instances share. Every field of a row may be null, as in the real API; rows are
passed on as they came, and only what is no list of rows is refused.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson

from cryptosense.clock import Clock
from cryptosense.errors import ConfigurationError, StateError, UpstreamThrottled, UpstreamUnavailable
from cryptosense.services.insurance import Insurance
from cryptosense.state.contracts import Admission, Algorithm, Quota, WindowState

_log = logging.getLogger(__name__)

_CLIENT = "upstream:coingecko"
_DEFAULT_RETRY_AFTER_S = 30.0  # what is assumed after a 429 that does not say
_LONGEST_ANSWER = 16 << 20
PER_PAGE = 250


class CoinGecko:
    """Calls of one provider.

    Args:
        base_url: up to and including `/api/v3`; a host that starts with `pro-` gets the key as a pro key.
        windows: where the calls of all instances are counted.
        clock: for the spacing inside this process while the state is away, and for dates in `Retry-After`.
        api_key: a demo or a pro key.
        calls_per_minute: for all instances together; None for no limit of our own.
        burst: calls that may come at once after a pause.
        timeout_s: for a whole call, waiting for its turn included.
        transport: what carries the calls; the network unless given.

    Raises:
        ConfigurationError: a URL that is none.
    """

    def __init__(
        self,
        base_url: str,
        windows: WindowState,
        clock: Clock,
        *,
        api_key: str | None = None,
        calls_per_minute: int | None = None,
        burst: int = 5,
        timeout_s: float = 8.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        address = _address(base_url)
        headers = {"accept": "application/json", "user-agent": "cryptosense"}
        if api_key:
            headers["x-cg-pro-api-key" if address.host.startswith("pro-") else "x-cg-demo-api-key"] = api_key
        self._client = httpx.AsyncClient(
            base_url=address,
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 3.0)),
            limits=httpx.Limits(max_connections=16),
            trust_env=False,
            transport=transport,
        )
        self._windows = windows
        self._clock = clock
        self._quota = _quota(calls_per_minute, burst)
        self._alone = Insurance(clock, clients=1)
        self._timeout_s = timeout_s
        self._blocked_until = float("-inf")
        self.calls = 0

    async def markets(self, ids: tuple[str, ...]) -> list[dict[str, Any]]:
        """The rows of `ids` that CoinGecko knows, largest market first; at most 250.

        Raises:
            UpstreamUnavailable: no answer in time, or not of the documented shape.
            UpstreamThrottled: for quota, the provider's or our own.
        """
        rows = await self._get(
            "coins/markets",
            {
                "vs_currency": "usd",
                "ids": ",".join(ids),
                "order": "market_cap_desc",
                "per_page": str(PER_PAGE),
                "page": "1",
                "sparkline": "false",
                "price_change_percentage": "24h",
            },
        )
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows
        ):
            raise UpstreamUnavailable("CoinGecko's market rows are not of the documented shape")
        return rows

    async def market_chart(self, coin: str, *, days: int) -> list[tuple[int, float]] | None:
        """Daily prices in US dollars, oldest first, as (Unix ms, price); None for a coin that CoinGecko does not know.

        Raises:
            UpstreamUnavailable: no answer in time, or not of the documented shape.
            UpstreamThrottled: for quota, the provider's or our own.
        """
        path = f"coins/{coin}/market_chart"
        chart = await self._get(path, {"vs_currency": "usd", "days": str(days), "interval": "daily"}, may_lack=True)
        if chart is None:
            return None
        points = chart.get("prices") if isinstance(chart, dict) else None
        if not isinstance(points, list):
            raise UpstreamUnavailable("CoinGecko's price history is not of the documented shape")
        history = {}
        for point in points:
            if not isinstance(point, list) or len(point) != 2:
                raise UpstreamUnavailable("CoinGecko's price history is not of the documented shape")
            at, price = point
            if isinstance(at, int | float) and isinstance(price, int | float) and price > 0:
                history[int(at)] = float(price)
        return sorted(history.items())

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def _get(self, path: str, parameters: Mapping[str, str], *, may_lack: bool = False) -> Any:
        """One call in its turn; None for 404 where the path names something that `may_lack`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._take_turn()
                self.calls += 1
                response = await self._client.get(path, params=parameters)
        except TimeoutError:
            raise UpstreamUnavailable(f"CoinGecko did not answer within {self._timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise UpstreamUnavailable(f"CoinGecko cannot be reached: {type(error).__name__}") from None
        if response.status_code == 429:
            wait_s = self._asked_to_wait(response.headers.get("retry-after"))
            self._blocked_until = self._clock.monotonic() + wait_s
            raise UpstreamThrottled("CoinGecko refused for quota", retry_after=wait_s)
        if response.status_code == 404 and may_lack:
            return None
        if response.status_code != 200:
            raise UpstreamUnavailable(f"CoinGecko answered {response.status_code}")
        if len(response.content) > _LONGEST_ANSWER:
            raise UpstreamUnavailable("CoinGecko's answer is too long")
        try:
            return orjson.loads(response.content)
        except ValueError:
            raise UpstreamUnavailable("CoinGecko's answer is not JSON") from None

    async def _take_turn(self) -> None:
        """Waits for a call of the shared quota, as long as the call's own time allows."""
        blocked_s = self._blocked_until - self._clock.monotonic()
        if blocked_s > 0:
            raise UpstreamThrottled("CoinGecko refused for quota a moment ago", retry_after=blocked_s)
        if self._quota is None:
            return
        gives_up = self._clock.monotonic() + self._timeout_s / 2
        while True:
            admission = await self._admit(self._quota)
            if admission.admitted:
                return
            wait_s = admission.reset_ms / 1000
            if self._clock.monotonic() + wait_s > gives_up:
                raise UpstreamThrottled("too many calls of CoinGecko wait for their turn", retry_after=wait_s)
            await asyncio.sleep(wait_s * random.uniform(1.0, 1.2))

    async def _admit(self, quota: Quota) -> Admission:
        try:
            return await self._windows.admit(_CLIENT, quota, secrets.token_urlsafe(9))
        except StateError:
            return self._alone.admit(_CLIENT, quota)

    def _asked_to_wait(self, value: str | None) -> float:
        """Seconds from `Retry-After`: a number of seconds or a date (RFC 9110, 10.2.3)."""
        if value is None:
            return _DEFAULT_RETRY_AFTER_S
        if value.strip().isascii() and value.strip().isdigit():
            return min(float(value), 3600.0)
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return _DEFAULT_RETRY_AFTER_S
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return min(max(0.0, (at - datetime.fromtimestamp(self._clock.now(), UTC)).total_seconds()), 3600.0)


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("id"), str)


def _address(base_url: str) -> httpx.URL:
    try:
        address = httpx.URL(base_url.strip().rstrip("/") + "/")
    except (httpx.InvalidURL, UnicodeError):
        address = httpx.URL("")
    if address.scheme not in {"http", "https"} or not address.host or "%" in address.host:
        raise ConfigurationError("COINGECKO_URL is no address of a web service, as https://api.coingecko.com/api/v3 is")
    return address


def _quota(calls_per_minute: int | None, burst: int) -> Quota | None:
    """`burst` at once, and `calls_per_minute` in the long run."""
    if calls_per_minute is None:
        return None
    calls, at_once = max(1, calls_per_minute), max(1, burst)
    return Quota(limit=at_once, window_ms=max(1, round(at_once * 60_000 / calls)), algorithm=Algorithm.GCRA)
