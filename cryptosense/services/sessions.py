"""Signed short access tokens, and sessions with rotating refresh tokens."""

from collections.abc import Callable
from dataclasses import dataclass

from cryptosense.clock import Clock
from cryptosense.state.contracts import SessionState


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a validly signed access token says."""

    user: str
    session: str
    issued_at: float


@dataclass(frozen=True, slots=True)
class TokenPair:
    user: str
    session: str
    access_token: str
    refresh_token: str


class Sessions:
    def __init__(
        self,
        state: SessionState,
        *,
        secret: str,
        clock: Clock,
        access_ttl_s: float = 900,
        refresh_ttl_s: float = 30 * 86_400,
        believes_unknown: Callable[[], bool] = lambda: False,
    ) -> None: ...
    def read_bearer(self, token: str) -> Bearer | None: ...  # signature and age only; asks nobody
    def read_refresh(
        self, token: str
    ) -> tuple[str, str] | None: ...  # (user, session) of a validly signed one, for the limiter's key
    async def is_live(self, bearer: Bearer) -> bool: ...  # asks the state
    async def open(self, user: str) -> TokenPair: ...
    async def refresh(self, token: str) -> TokenPair: ...  # NotSignedIn
    async def close(self, user: str, session: str) -> bool: ...
    async def close_all(self, user: str, *, keep: str | None = None) -> int: ...
