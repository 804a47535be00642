"""The one table of what is answered when a request cannot be served, and how answers become bytes.

Every refusal on the wire is `{"error": text, "code": CODE}` with the status that stands here, so a code never has two
statuses. Nothing of an exception's own text leaves the service, except where its class says that it is fit for it.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Send

from cryptosense.errors import (
    Conflict,
    CryptoSenseError,
    DatabaseUnavailable,
    InvalidInput,
    NotFound,
    NotSignedIn,
    StateError,
    UpstreamError,
    UpstreamThrottled,
)

log = logging.getLogger("cryptosense.http")

RawHeader = tuple[bytes, bytes]
RETRY_AFTER_S = 1  # reconnection is attempted at least once a second


class Problem(Enum):
    """What can be refused: status, code, and the sentence that goes with it."""

    UNREADABLE = 400, "BAD_REQUEST", "This is no HTTP request that can be read"
    UNAUTHORIZED = 401, "UNAUTHORIZED", "Sign in first: the bearer is missing, wrong or ended"
    CROSS_SITE = 403, "CROSS_SITE_REQUEST", "Requests from other sites are not accepted here"
    CSRF_MISSING = 403, "CSRF_TOKEN_MISSING", "CSRF token missing"
    CSRF_INVALID = 403, "CSRF_TOKEN_INVALID", "CSRF token invalid or expired"
    NOT_FOUND = 404, "NOT_FOUND", "There is nothing here"
    METHOD = 405, "METHOD_NOT_ALLOWED", "This method is not served here"
    CONFLICT = 409, "CONFLICT", "It exists already"
    TOO_LARGE = 413, "PAYLOAD_TOO_LARGE", "The body is too large"
    INVALID = 422, "VALIDATION_FAILED", "The request is malformed"
    LIMITED = 429, "RATE_LIMIT_EXCEEDED", "Too many requests, please try again later"
    INTERNAL = 500, "INTERNAL_ERROR", "Something went wrong here; the request id finds it in the log"
    STATE = 503, "STATE_UNAVAILABLE", "Sessions and tokens cannot be checked at the moment"
    UPSTREAM = 503, "UPSTREAM_UNAVAILABLE", "The market data provider does not answer"
    DATABASE = 503, "DATABASE_UNAVAILABLE", "The database does not answer"

    def __init__(self, status: int, code: str, text: str) -> None:
        self.status = status
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Refusal:
    """A whole answer to a request that is not served."""

    problem: Problem
    text: str | None = None
    extra: Mapping[str, Any] | None = None
    headers: tuple[RawHeader, ...] = ()

    def body(self) -> bytes:
        """The JSON that is sent."""
        return orjson.dumps({"error": self.text or self.problem.text, "code": self.problem.code, **(self.extra or {})})

    def response(self) -> Response:
        """The answer for Starlette to send."""
        return raw_response(self.problem.status, self.body(), self.headers)

    async def send(self, send: Send, more: Iterable[RawHeader] = ()) -> None:
        """Sends the answer, with `more` headers after its own."""
        body = self.body()
        headers = [*_json_headers(body), *self.headers, *more]
        await send({"type": "http.response.start", "status": self.problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def refusal_of(error: CryptoSenseError) -> Refusal | None:
    """The answer to an error of our tree; None for one that no request should meet."""
    retry = ((b"retry-after", str(RETRY_AFTER_S).encode()),)
    match error:
        case StateError():
            return Refusal(Problem.STATE, headers=retry)
        case DatabaseUnavailable():
            return Refusal(Problem.DATABASE, headers=retry)
        case UpstreamThrottled():
            seconds = max(1, int(-(-error.retry_after // 1)))
            return Refusal(Problem.UPSTREAM, headers=((b"retry-after", str(seconds).encode()),))
        case UpstreamError():
            return Refusal(Problem.UPSTREAM, headers=retry)
        case InvalidInput():
            return Refusal(Problem.INVALID, text=str(error))
        case NotSignedIn():
            return Refusal(Problem.UNAUTHORIZED, text=str(error) or None, headers=CHALLENGE)
        case NotFound():
            return Refusal(Problem.NOT_FOUND, text=str(error) or None)
        case Conflict():
            return Refusal(Problem.CONFLICT, text=str(error) or None)
        case _:
            return None


def refuse(error: Exception) -> Refusal:
    """The answer to anything that was raised; what is not in the table is logged here, once, with its traceback."""
    refusal = refusal_of(error) if isinstance(error, CryptoSenseError) else None
    if refusal is None:
        log.error("a request met an error that nobody expected", exc_info=error)
        return Refusal(Problem.INTERNAL)
    if refusal.problem.status == 503:
        log.warning("a request met an outage", extra={"code": refusal.problem.code, "cause": type(error).__name__})
    return refusal


CHALLENGE: tuple[RawHeader, ...] = ((b"www-authenticate", b"Bearer"),)


def json_response(content: Any, status: int = 200, headers: tuple[RawHeader, ...] = ()) -> Response:
    """`content` as JSON; decimals must be strings already."""
    return raw_response(status, orjson.dumps(content), headers)


class RawResponse(Response):
    """Bytes and headers that are sent as they are; without Starlette's work of making headers from them."""

    def __init__(self, status: int, body: bytes, headers: list[RawHeader]) -> None:
        # Not the parent's: it would encode the body and make headers again, which costs a hit more than the cache does.
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = headers


def raw_response(status: int, body: bytes, headers: tuple[RawHeader, ...] = ()) -> Response:
    """Bytes that are JSON already, sent as they are."""
    return RawResponse(status, body, [*_json_headers(body), *headers])


_JSON_HEADERS: tuple[RawHeader, ...] = (
    (b"content-type", b"application/json"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)


def _json_headers(body: bytes) -> list[RawHeader]:
    return [*_JSON_HEADERS, (b"content-length", b"%d" % len(body))]
