"""Sessions: short signed access tokens, and refresh tokens that are good for one use.

An access token (JWT, RFC 7519, HS256) names a user and a session; that the session still exists is asked of the state.
A refresh token is a secret whose digest the state keeps; using it replaces it, and using a replaced one ends the
session, since one of its two users has stolen it. It carries a signature too, so that a forged one never reaches the
state.

While the memory of each process is the state (before the migration), a process that does not know a session believes
the signature, and a logout reaches that process only: `believes_unknown`.
"""

import base64
import binascii
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import jwt
from cachetools import TTLCache

from cryptosense.clock import Clock
from cryptosense.errors import NotSignedIn
from cryptosense.state.contracts import RefreshOutcome, SessionRecord, SessionState

_log = logging.getLogger(__name__)

_LONGEST_TOKEN = 2048
_ALGORITHM = "HS256"
_CLOCK_LEEWAY_S = 30.0  # instances' clocks differ
_REMEMBERED_ENDS = 50_000


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a validly signed access token says; `issued_at` is Unix seconds."""

    user: str
    session: str
    issued_at: float


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens of a session that was opened or refreshed."""

    user: str
    session: str
    access_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class _Refresh:
    user: str
    session: str
    issued_at: float


class Sessions:
    """Opens, confirms, refreshes and ends sessions.

    Args:
        state: sessions that all instances share, or this process's own before the migration.
        secret: signs tokens; the same on every instance.
        clock: wall clock for the age of tokens.
        access_ttl_s: how long an access token is good.
        refresh_ttl_s: how long a session lives without being refreshed.
        believes_unknown: whether a session that the state does not know is believed by its signature.
    """

    def __init__(
        self,
        state: SessionState,
        *,
        secret: str,
        clock: Clock,
        access_ttl_s: float = 900,
        refresh_ttl_s: float = 30 * 86_400,
        believes_unknown: Callable[[], bool] = lambda: False,
    ) -> None:
        self._state = state
        self._access_key = hmac.digest(secret.encode(), b"cryptosense access token", "sha256")
        self._refresh_key = hmac.digest(secret.encode(), b"cryptosense refresh token", "sha256")
        self._clock = clock
        self._access_ttl_s = access_ttl_s
        self._refresh_ttl_s = refresh_ttl_s
        self._believes_unknown = believes_unknown
        # What ended in this process: without it, believing a signature would undo a logout made here.
        self._ended: TTLCache[str, None] = TTLCache(_REMEMBERED_ENDS, refresh_ttl_s, timer=clock.monotonic)
        self._ended_users: TTLCache[str, tuple[float, str | None]] = TTLCache(
            _REMEMBERED_ENDS, refresh_ttl_s, timer=clock.monotonic
        )

    def read_bearer(self, token: str) -> Bearer | None:
        """What the token says, if its signature and age are right; asks nobody."""
        if len(token) > _LONGEST_TOKEN:
            return None
        try:
            claims = jwt.decode(
                token,
                self._access_key,
                algorithms=[_ALGORITHM],
                options={"require": ["sub", "sid", "iat", "exp"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return None
        user, session, issued_at, expires_at = (claims[name] for name in ("sub", "sid", "iat", "exp"))
        if not isinstance(session, str) or not isinstance(issued_at, int | float):
            return None
        now = self._clock.now()
        if not isinstance(expires_at, int | float) or now >= expires_at or issued_at > now + _CLOCK_LEEWAY_S:
            return None
        return Bearer(str(user), session, float(issued_at))

    def read_refresh(self, token: str) -> tuple[str, str] | None:
        """The user and session that a refresh token names, if its signature and age are right; asks nobody."""
        read = self._read_refresh(token)
        return None if read is None else (read.user, read.session)

    async def is_live(self, bearer: Bearer) -> bool:
        """Whether the session still exists.

        Raises:
            StateError: nobody can tell.
        """
        if await self._state.find(bearer.user, bearer.session) is not None:
            return True
        return self._believed(bearer.user, bearer.session, bearer.issued_at)

    async def open(self, user: str) -> TokenPair:
        """A new session.

        Raises:
            StateError: it may not have been opened.
        """
        pair = self._issue(user, secrets.token_urlsafe(18))
        await self._remember(pair)
        return pair

    async def refresh(self, token: str) -> TokenPair:
        """New tokens for the session; the presented one is spent.

        Raises:
            NotSignedIn: it is forged, too old or spent, or its session has ended.
            StateError: it may have been spent.
        """
        presented = self._read_refresh(token)
        if presented is None:
            raise NotSignedIn("the refresh token is not valid")
        pair = self._issue(presented.user, presented.session)
        outcome = await self._state.rotate_refresh(
            pair.user, pair.session, _digest(token), _digest(pair.refresh_token), ttl_ms=self._ttl_ms
        )
        if outcome is RefreshOutcome.ROTATED:
            return pair
        if outcome is RefreshOutcome.REUSED:
            self._ended[presented.session] = None
            _log.warning(
                "a spent refresh token was used again; its session is ended",
                extra={"event": "refresh_reused", "user": presented.user},
            )
        elif self._believed(presented.user, presented.session, presented.issued_at):
            await self._remember(pair)
            return pair
        raise NotSignedIn("the refresh token is not valid")

    async def close(self, user: str, session: str) -> bool:
        """Ends one session on every instance that shares the state; whether there was one.

        Raises:
            StateError: it may live on.
        """
        closed = await self._state.close(user, session)
        self._ended[session] = None
        return closed

    async def close_all(self, user: str, *, keep: str | None = None) -> int:
        """Ends the user's sessions except `keep`; their number.

        Raises:
            StateError: some may live on.
        """
        closed = await self._state.close_all(user, keep=keep)
        self._ended_users[user] = (self._clock.now(), keep)
        return closed

    def _believed(self, user: str, session: str, issued_at: float) -> bool:
        if not self._believes_unknown() or session in self._ended:
            return False
        ended_at, kept = self._ended_users.get(user, (float("-inf"), None))
        return issued_at > ended_at or session == kept

    @property
    def _ttl_ms(self) -> int:
        return round(self._refresh_ttl_s * 1000)

    async def _remember(self, pair: TokenPair) -> None:
        opened_at_ms = round(self._clock.now() * 1000)
        record = SessionRecord(pair.user, pair.session, _digest(pair.refresh_token), opened_at_ms)
        await self._state.open(record, ttl_ms=self._ttl_ms)

    def _issue(self, user: str, session: str) -> TokenPair:
        now = self._clock.now()
        claims = {"sub": user, "sid": session, "iat": now, "exp": now + self._access_ttl_s}
        access = jwt.encode(claims, self._access_key, algorithm=_ALGORITHM)
        named = base64.urlsafe_b64encode(user.encode()).decode().rstrip("=")
        signed = f"{named}.{session}.{round(now * 1000)}.{secrets.token_urlsafe(24)}"
        return TokenPair(user, session, access, f"{signed}.{self._signature(signed)}")

    def _read_refresh(self, token: str) -> _Refresh | None:
        signed, _, signature = token.rpartition(".")
        if len(token) > _LONGEST_TOKEN or not token.isascii():
            return None
        if not hmac.compare_digest(signature, self._signature(signed)):
            return None
        try:
            named, session, issued_at_ms, _ = signed.split(".")
            user = base64.urlsafe_b64decode(named + "=" * (-len(named) % 4)).decode()
            issued_at = int(issued_at_ms) / 1000
        except (ValueError, binascii.Error):
            return None
        if self._clock.now() >= issued_at + self._refresh_ttl_s:
            return None
        return _Refresh(user, session, issued_at)

    def _signature(self, signed: str) -> str:
        return hmac.digest(self._refresh_key, signed.encode(), "sha256").hex()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
