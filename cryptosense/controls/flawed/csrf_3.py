"""CSRF-3: one token per user, so that two devices lock each other out; and no grace for parallel requests."""

from cachetools import LRUCache

from cryptosense.controls.control import Control
from cryptosense.http.parts import Parts
from cryptosense.services.csrf import CsrfDecision, CsrfTokens
from cryptosense.services.sessions import Bearer, Sessions


class SessionsThatTell(Sessions):
    """Notes whose session each one is, since the tokens are asked by session."""

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        super().__init__(
            parts.state.state.sessions,
            secret=settings.signing_secret,
            clock=parts.clock,
            access_ttl_s=settings.access_ttl_s,
            refresh_ttl_s=settings.refresh_ttl_s,
        )
        self.user_of: LRUCache[str, str] = LRUCache(100_000)

    def read_bearer(self, token: str) -> Bearer | None:
        bearer = super().read_bearer(token)
        if bearer is not None:
            self.user_of[bearer.session] = bearer.user
        return bearer


class TokensPerUser(CsrfTokens):
    """Asking for a token makes a new one, and every session of a user has the same."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.state.state.csrf, ttl_s=parts.settings.csrf_ttl_s, grace_s=0)
        sessions = parts.sessions
        if not isinstance(sessions, SessionsThatTell):
            raise TypeError("this control's tokens need this control's sessions")
        self._user_of = sessions.user_of

    async def current(self, session: str) -> str:
        return await self.rotate(self._user_of.get(session, session))

    async def validate(self, session: str, presented: str | None) -> CsrfDecision:
        return await super().validate(self._user_of.get(session, session), presented)


CONTROL = Control(
    "CSRF-3",
    "A user has one token, whatever the number of sessions, and a replaced one is dead at once.",
    {"sessions": SessionsThatTell, "csrf": TokensPerUser},
)
