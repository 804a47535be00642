"""The CoinGecko client."""

from cryptosense.clock import Clock
from cryptosense.state.contracts import WindowState


class CoinGecko:
    calls: int

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
    ) -> None: ...
    async def markets(
        self, ids: tuple[str, ...]
    ) -> list[dict[str, object]]: ...  # UpstreamUnavailable, UpstreamThrottled
    async def market_chart(self, coin: str, *, days: int) -> list[tuple[int, float]] | None: ...
    async def aclose(self) -> None: ...
