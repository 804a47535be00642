"""The checks, in the order in which the reference runs them.

body size → origin → bearer's signature → limiter → session → CSRF; the body itself is read after the last.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

import orjson

from cryptosense.clock import Clock, SystemClock
from cryptosense.http.guards.exchange import Exchange
from cryptosense.http.guards.rule import By
from cryptosense.http.replies import CHALLENGE, Problem, RawHeader, Refusal
from cryptosense.services.csrf import CsrfDecision, CsrfVerdict
from cryptosense.services.rate_limit import Decision
from cryptosense.services.sessions import Bearer

MAX_BEARER_BYTES = 4_096


class ReadsBearers(Protocol):
    def read_bearer(self, token: str) -> Bearer | None: ...


class ReadsRefreshTokens(Protocol):
    def read_refresh(self, token: str) -> tuple[str, str] | None: ...


class KnowsSessions(Protocol):
    async def is_live(self, bearer: Bearer) -> bool: ...


class Identifies(Protocol):
    def key(self, *, user: str | None, peer: str | None, forwarded_for: Sequence[str] = ()) -> str: ...


class Decides(Protocol):
    async def decide(self, policy: str, client: str) -> Decision: ...


class ValidatesCsrf(Protocol):
    async def validate(self, session: str, presented: str | None) -> CsrfDecision: ...


class BodySize:
    """Refuses a declared size above `limit` bytes at once, and an undeclared one when it is reached.

    Also refuses a request in which a header that decides something stands twice: two readers could differ on it.
    """

    def __init__(self, limit: int = 65_536) -> None:
        self._limit = limit

    async def __call__(self, exchange: Exchange) -> Refusal | None:
        if exchange.repeated is not None:
            return Refusal(Problem.INVALID, text=f"The header {exchange.repeated.decode('latin-1')} stands twice")
        declared = exchange.headers.get(b"content-length")
        if declared is None:
            if b"transfer-encoding" in exchange.headers:
                exchange.bound_body(self._limit)
            return None
        if not declared.isdigit():
            return Refusal(Problem.INVALID, text="The header content-length is not a number")
        if len(declared) > 15 or int(declared) > self._limit:
            return Refusal(Problem.TOO_LARGE)
        return None


class SameOrigin:
    """Refuses what another site's page sent, before any token is looked at.

    A listed origin passes. Else `Sec-Fetch-Site`, which pages cannot forge, decides where a browser sends it;
    `same-site` is a neighbour and no friend. Else `Origin` must name the host that was asked. A client that sends
    neither is no browser, and carries no ambient credentials that a page could ride on.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._allowed = frozenset(allowed)

    async def __call__(self, exchange: Exchange) -> Refusal | None:
        if not exchange.rule.same_origin or self._passes(exchange):
            return None
        return Refusal(Problem.CROSS_SITE)

    def _passes(self, exchange: Exchange) -> bool:
        origin = exchange.header(b"origin")
        if origin is not None and origin in self._allowed:
            return True
        site = exchange.header(b"sec-fetch-site")
        if site is not None:
            return site in {"same-origin", "none"}
        return origin is None or _host_of(origin) == (exchange.header(b"host") or "").lower()


def _host_of(origin: str) -> str | None:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() or None if parts.scheme in {"http", "https"} else None


class SignedBearer:
    """Reads who the bearer says the caller is. Refuses nobody: a route that needs a session says so later, after the
    limiter has counted the attempt.
    """

    def __init__(self, sessions: ReadsBearers) -> None:
        self._sessions = sessions

    async def __call__(self, exchange: Exchange) -> Refusal | None:
        value = exchange.headers.get(b"authorization")
        if value is not None and len(value) <= MAX_BEARER_BYTES:
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer" and token.isascii():
                exchange.caller = self._sessions.read_bearer(token.strip().decode("ascii"))
        return None


class Limited:
    """Counts the request against its identity's budget; each policy has a budget of its own.

    Args:
        refresh_tokens: reads the session out of a refresh token, for routes limited `By.REFRESH`.
    """

    def __init__(
        self,
        limiter: Decides,
        identities: Identifies,
        *,
        refresh_tokens: ReadsRefreshTokens | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._limiter = limiter
        self._identities = identities
        self._refresh_tokens = refresh_tokens
        self._clock = clock or SystemClock()
        self._fields: dict[tuple[str, int], tuple[RawHeader, RawHeader, bytes]] = {}
        # Walking through addresses costs more than a decision; what clients send is bounded before it is remembered.
        self._remembered = lru_cache(maxsize=8_192)(self._identified)

    async def __call__(self, exchange: Exchange) -> Refusal | None:
        policy = exchange.rule.limit
        if policy is None:
            return None
        client = await self._session_client(exchange) if exchange.rule.by is By.REFRESH else self.client(exchange)
        decision = await self._limiter.decide(policy, client)
        exchange.answer_headers.extend(self.headers(decision))
        if decision.admitted:
            return None
        seconds = decision.retry_after or 1
        return Refusal(
            Problem.LIMITED,
            extra={"retryAfter": seconds, "limit": decision.limit},
            headers=((b"retry-after", str(seconds).encode()),),
        )

    def client(self, exchange: Exchange) -> str:
        """The key that this request counts against: the user's, or the address's."""
        if exchange.caller is not None and exchange.rule.by is By.CALLER:
            return self._identified(exchange.caller.user, None, ())
        forwarded = tuple(exchange.every(b"x-forwarded-for"))
        known = self._remembered if sum(map(len, forwarded)) <= 200 else self._identified
        return known(None, exchange.peer, forwarded)

    async def _session_client(self, exchange: Exchange) -> str:
        """The session's key, where the body holds a refresh token that we signed."""
        if self._refresh_tokens is not None:
            session = self._refresh_tokens.read_refresh(_refresh_token(await exchange.body()))
            if session is not None:
                return f"session:{session[0]}:{session[1]}"
        return self.client(exchange)

    def _identified(self, user: str | None, peer: str | None, forwarded: tuple[str, ...]) -> str:
        return self._identities.key(user=user, peer=peer, forwarded_for=forwarded)

    def headers(self, decision: Decision) -> list[RawHeader]:
        """The plan's fields and the IETF's, for what is in force: the policy's limit or the insurance's share."""
        policy = decision.policy
        fields = self._fields.get((policy.name, decision.limit))
        if fields is None:
            window_s = -(-policy.window_ms // 1000)
            fields = (
                (b"x-ratelimit-limit", str(decision.limit).encode()),
                (b"ratelimit-policy", f'"{policy.name}";q={decision.limit};w={window_s}'.encode()),
                f'"{policy.name}"'.encode(),
            )
            self._fields[policy.name, decision.limit] = fields
        limit, declared, name = fields
        return [
            limit,
            (b"x-ratelimit-remaining", b"%d" % decision.remaining),
            (b"x-ratelimit-reset", _iso(math.ceil(self._clock.now() + decision.reset_s))),
            declared,
            (b"ratelimit", b"%s;r=%d;t=%d" % (name, decision.remaining, decision.reset_s)),
        ]


@lru_cache(maxsize=4_096)
def _iso(second: int) -> bytes:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def _refresh_token(body: bytes) -> str:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    token = content.get("refreshToken") if isinstance(content, dict) else None
    return token if isinstance(token, str) and len(token) <= MAX_BEARER_BYTES else ""


class LiveSession:
    """Refuses who is not signed in, or not any more."""

    def __init__(self, sessions: KnowsSessions) -> None:
        self._sessions = sessions

    async def __call__(self, exchange: Exchange) -> Refusal | None:
        if not exchange.rule.session:
            return None
        if exchange.caller is None or not await self._sessions.is_live(exchange.caller):
            return Refusal(Problem.UNAUTHORIZED, headers=CHALLENGE)
        return None


class CsrfProtected:
    """Accepts the session's CSRF token and leaves its successor for the answer, whatever that will be."""

    def __init__(self, tokens: ValidatesCsrf) -> None:
        self._tokens = tokens

    async def __call__(self, exchange: Exchange) -> Refusal | None:
        if not exchange.rule.csrf or exchange.caller is None:
            return None
        decision = await self._tokens.validate(exchange.caller.session, exchange.header(b"x-csrf-token"))
        if decision.verdict is CsrfVerdict.MISSING:
            return Refusal(Problem.CSRF_MISSING)
        if not decision.accepted:
            return Refusal(Problem.CSRF_INVALID)
        exchange.successor = decision.successor
        return None
