"""CSRF tokens: bound to a session, rotated by every accepted use.

The service draws the tokens and decides what a presented one is worth; comparing and rotating is one atomic step of
the state. An outage is never an answer about a token: `StateUnavailable`, `OutcomeUnknown` and `StateCorrupt` leave
every method, so that the caller can fail closed and say so.
"""

import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from cryptosense.state.contracts import CsrfState

_TOKEN_BYTES = 32
_TOKEN = re.compile(r"[0-9a-f]{64}")


class CsrfVerdict(StrEnum):
    """Why a request passes or not; each refusal has a code of its own on the wire."""

    ACCEPTED = "accepted"
    MISSING = "missing"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class CsrfDecision:
    """What a presented token was worth; `successor` is the token to use from now on, where it was accepted."""

    verdict: CsrfVerdict
    successor: str | None = None

    @property
    def accepted(self) -> bool:
        return self.verdict is CsrfVerdict.ACCEPTED


_MISSING = CsrfDecision(CsrfVerdict.MISSING)
_INVALID = CsrfDecision(CsrfVerdict.INVALID)


class CsrfTokens:
    """Tokens of 64 hex digits, one current per session.

    Args:
        state: where tokens are remembered.
        ttl_s: seconds that an unused token lives.
        grace_s: seconds that a replaced token is still accepted (and answered with the current one); 0 is strict.
    """

    def __init__(self, state: CsrfState, *, ttl_s: float = 86_400, grace_s: float = 5.0) -> None:
        self._state = state
        self._ttl_ms = max(1, round(ttl_s * 1000))
        self._grace_ms = max(0, round(grace_s * 1000))

    async def current(self, session: str) -> str:
        """The session's token, made now where it has none; asking does not rotate it."""
        return await self._state.current(session, _draw(), ttl_ms=self._ttl_ms)

    async def validate(self, session: str, presented: str | None) -> CsrfDecision:
        """Accepts the session's token and makes its successor current.

        What cannot be a token (length, alphabet) is refused before the state is asked, so a megabyte costs a scan of
        its length and nothing more.
        """
        if not presented:
            return _MISSING
        if len(presented) != 2 * _TOKEN_BYTES or not _TOKEN.fullmatch(presented):
            return _INVALID
        rotation = await self._state.compare_and_rotate(
            session, presented, _draw(), ttl_ms=self._ttl_ms, grace_ms=self._grace_ms
        )
        if rotation.token is None:
            return _INVALID
        return CsrfDecision(CsrfVerdict.ACCEPTED, rotation.token)

    async def rotate(self, session: str) -> str:
        """A new token; every older one stops at once, whatever the grace."""
        token = _draw()
        await self._state.replace(session, token, ttl_ms=self._ttl_ms)
        return token

    async def revoke(self, session: str) -> None:
        """The session has no token any more."""
        await self._state.revoke(session)

    async def sweep_orphans(self) -> int:
        """Removes records without an expiry; their number."""
        return await self._state.sweep_orphans()


def _draw() -> str:
    return secrets.token_hex(_TOKEN_BYTES)
