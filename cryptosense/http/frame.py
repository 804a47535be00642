"""What surrounds every request: its id, its line in the log, its place in the metrics, and the last answer.

Plain ASGI and outermost, so that nothing that happens inside can leave without an id, uncounted or with a stack trace.
"""

import logging
import re
import secrets
import time
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cryptosense.http.logs import AccessLog, current_request
from cryptosense.http.metrics import RequestFigures
from cryptosense.http.replies import Problem, Refusal

log = logging.getLogger("cryptosense.http")
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True)
class Drain:
    """Whether the instance is on its way out: readiness says so, and every answer closes its connection."""

    draining: bool = False


class Frame:
    """The outermost layer of the app."""

    def __init__(self, app: ASGIApp, *, figures: RequestFigures, drain: Drain, access: AccessLog) -> None:
        self._app = app
        self._figures = figures
        self._drain = drain
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        started = time.perf_counter()
        status = 0

        async def framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", request_id)]
                if self._drain.draining:
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        name = request_id.decode("ascii")
        identified = current_request.set(name)
        try:
            await self._app(scope, receive, framed)
        except Exception:
            log.exception("a request met an error that nobody expected")
            if status == 0:
                await Refusal(Problem.INTERNAL).send(framed)
        finally:
            self._close(scope, name, status, time.perf_counter() - started)
            current_request.reset(identified)

    def _close(self, scope: Scope, name: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        self._figures.count(route, scope["method"], status, seconds)
        if self._access.enabled:
            fields = {"method": scope["method"], "route": route, "status": status, "ms": round(seconds * 1000, 2)}
            exchange = scope.get("cryptosense.exchange")
            if exchange is not None and exchange.cache_outcome is not None:
                fields["cache"] = exchange.cache_outcome
            self._access.note(name, fields)


def _request_id(scope: Scope) -> bytes:
    """The proxy's id where it sent a well-formed one, else one of our own."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GIVEN_ID.fullmatch(value):
            return bytes(value)
    return secrets.token_hex(8).encode()
