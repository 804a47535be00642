"""Who a request counts against."""

from collections.abc import Sequence


class ClientIdentities:
    def __init__(self, *, trusted_proxies: Sequence[str] = (), ipv6_prefix: int = 64) -> None: ...  # ConfigurationError
    def address(
        self, peer: str | None, forwarded_for: Sequence[str] = ()
    ) -> str: ...  # every X-Forwarded-For header, in order
    def key(
        self, *, user: str | None, peer: str | None, forwarded_for: Sequence[str] = ()
    ) -> str: ...  # "user:..." or "ip:..."
