"""CORS for the listed origins: exact matches, with credentials, and with every header that a front end must read."""

from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cryptosense.http.replies import Problem, RawHeader, Refusal

EXPOSED = (
    "X-CSRF-Token, X-Cache, X-Request-ID, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, "
    "RateLimit-Policy, RateLimit"
)
_PREFLIGHT: tuple[RawHeader, ...] = (
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
    (b"access-control-allow-headers", b"Authorization, Content-Type, X-CSRF-Token, X-Request-ID"),
    (b"access-control-max-age", b"600"),
)


class Cors:
    """Answers preflights and adds the headers; `allowed` are origins as a browser writes them."""

    def __init__(self, app: ASGIApp, *, allowed: Sequence[str]) -> None:
        self._app = app
        self._granted = {
            origin.encode(): [
                (b"access-control-allow-origin", origin.encode()),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", EXPOSED.encode()),
                (b"vary", b"Origin"),
            ]
            for origin in allowed
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin, asks = _origin(scope)
        granted = self._granted.get(origin, [(b"vary", b"Origin")])
        if asks:
            await _answer_preflight(origin in self._granted, granted, send)
            return

        async def with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *granted]
            await send(message)

        await self._app(scope, receive, with_cors)


def _origin(scope: Scope) -> tuple[bytes, bool]:
    """The origin, empty where none is named, and whether this is a preflight."""
    origin, asks = b"", False
    for name, value in scope["headers"]:
        if name == b"origin":
            origin = value
        elif name == b"access-control-request-method":
            asks = scope["method"] == "OPTIONS"
    return origin, asks and bool(origin)


async def _answer_preflight(allowed: bool, granted: list[RawHeader], send: Send) -> None:
    if not allowed:
        await Refusal(Problem.CROSS_SITE).send(send, granted)
        return
    await send({"type": "http.response.start", "status": 204, "headers": [*granted, *_PREFLIGHT]})
    await send({"type": "http.response.body", "body": b""})
