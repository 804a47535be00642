"""Cached bytes on the wire: as they are stored, compressed where the client takes that, and labelled in `X-Cache`."""

import re
from collections.abc import Awaitable
from functools import lru_cache
from typing import Any

from fastapi import Request
from starlette.responses import Response

from cryptosense.errors import DatabaseUnavailable, UpstreamError
from cryptosense.http.guards import Exchange, exchange_of
from cryptosense.http.replies import Problem, RawHeader, Refusal, raw_response
from cryptosense.services.cache import Cached, Outcome
from cryptosense.state.contracts import EntryKind

X_CACHE: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            "X-Cache": {
                "schema": {"type": "string", "enum": [outcome.value for outcome in Outcome]},
                "description": "How the answer came about.",
            }
        }
    }
}

_OUTCOME_HEADERS: dict[str, RawHeader] = {outcome.value: (b"x-cache", outcome.value.encode()) for outcome in Outcome}
_VARY: RawHeader = (b"vary", b"Accept-Encoding")
_GZIP: RawHeader = (b"content-encoding", b"gzip")


async def answer_cached(request: Request, reading: Awaitable[Cached]) -> Response:
    """The cached answer as HTTP: 200, 404 for a cached null, 503 for a remembered failure."""
    exchange = exchange_of(request)
    try:
        cached = await reading
    except (UpstreamError, DatabaseUnavailable):
        _label(exchange, Outcome.MISS)
        raise
    _label(exchange, cached.outcome)
    if cached.kind is EntryKind.VALUE:
        return _bytes(exchange, cached)
    if cached.kind is EntryKind.NULL:
        return Refusal(Problem.NOT_FOUND).response()
    seconds = str(max(1, cached.retry_after_s or 1)).encode()
    return Refusal(Problem.UPSTREAM, headers=((b"retry-after", seconds),)).response()


def _label(exchange: Exchange, outcome: Outcome) -> None:
    exchange.cache_outcome = outcome.value
    exchange.answer_headers.append(_OUTCOME_HEADERS[outcome.value])


def _bytes(exchange: Exchange, cached: Cached) -> Response:
    if cached.encoding == "identity":
        return raw_response(200, cached.body, (_VARY,))
    if takes_gzip(exchange.header(b"accept-encoding") or ""):
        return raw_response(200, cached.body, (_GZIP, _VARY))
    return raw_response(200, cached.plain(), (_VARY,))


@lru_cache(maxsize=256)
def takes_gzip(accepted: str) -> bool:
    """Whether an `Accept-Encoding` value allows gzip (RFC 9110, section 12.5.3)."""
    weights = {}
    for item in accepted[:1_000].lower().split(","):
        coding, _, parameters = item.partition(";")
        weights[coding.strip()] = _weight(parameters)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weight(parameters: str) -> float:
    found = re.search(r"q=([01](?:\.[0-9]{0,3})?)", parameters)
    return float(found[1]) if found else 1.0
