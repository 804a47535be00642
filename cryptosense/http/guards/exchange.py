"""One request on its way through the guards: what they learned of it, and what they add to its answer."""

from collections.abc import Sequence
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from cryptosense.http.guards.rule import Rule
from cryptosense.http.replies import RawHeader, Refusal
from cryptosense.services.sessions import Bearer

_SCOPE_KEY = "cryptosense.exchange"
_SINGLE = frozenset(
    {b"authorization", b"content-type", b"content-length", b"host", b"origin", b"sec-fetch-site", b"x-csrf-token"}
)


class BodyTooLarge(HTTPException):
    """More came than the route takes; FastAPI passes HTTP exceptions on while it reads a body."""

    def __init__(self) -> None:
        super().__init__(status_code=413)


class Exchange:
    """A request and the answer's extra headers.

    Attributes:
        headers: the first value of each, names in lower case.
        repeated: a header that must stand once and stands more often.
        caller: whose validly signed bearer came along.
        successor: the CSRF token that the answer delivers, whatever its status; None delivers none.
    """

    __slots__ = (
        "_receive",
        "_replay",
        "answer_headers",
        "cache_outcome",
        "caller",
        "headers",
        "repeated",
        "rule",
        "scope",
        "started",
        "successor",
    )

    def __init__(self, scope: Scope, receive: Receive, rule: Rule) -> None:
        self.scope = scope
        self.rule = rule
        raw = scope["headers"]
        self.headers: dict[bytes, bytes] = dict(raw)
        self.repeated: bytes | None = None
        if len(self.headers) != len(raw):
            self._read_repeated(raw)
        self.caller: Bearer | None = None
        self.successor: str | None = None
        self.answer_headers: list[RawHeader] = []
        self.started = False
        self.cache_outcome: str | None = None
        self._receive = receive
        self._replay: list[Message] = []
        scope[_SCOPE_KEY] = self

    def _read_repeated(self, raw: Sequence[RawHeader]) -> None:
        self.headers = {}
        for name, value in raw:
            if name not in self.headers:
                self.headers[name] = value
            elif name in _SINGLE:
                self.repeated = name

    @property
    def peer(self) -> str | None:
        client = self.scope.get("client")
        return client[0] if client else None

    def header(self, name: bytes) -> str | None:
        """The first value of a header, by its name in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def every(self, name: bytes) -> list[str]:
        """All values of a header, in the order received."""
        if name not in self.headers:
            return []
        return [value.decode("latin-1") for key, value in self.scope["headers"] if key == name]

    def bound_body(self, limit: int) -> None:
        """From here on reading more than `limit` bytes of body raises `BodyTooLarge`."""
        received = 0
        receive = self._receive

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise BodyTooLarge
            return message

        self._receive = bounded

    async def body(self) -> bytes:
        """The whole body, which stays to be read by the endpoint."""
        parts = []
        while True:
            message = await self._receive()
            self._replay.append(message)
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    def receiver(self) -> Receive:
        """ASGI's receive, for the endpoint: first what a guard has read already."""
        if not self._replay:
            return self._receive
        replay, receive = self._replay, self._receive

        async def replayed() -> Message:
            return replay.pop(0) if replay else await receive()

        return replayed

    def sender(self, send: Send) -> Send:
        """ASGI's send, which adds what the guards have to say to the head of the answer."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.started = True
                message["headers"] = [*message.get("headers", ()), *self.closing_headers()]
            await send(message)

        return with_headers

    def closing_headers(self) -> list[RawHeader]:
        """The headers of the guards, the CSRF successor last."""
        if self.successor is None:
            return self.answer_headers
        return [*self.answer_headers, (b"x-csrf-token", self.successor.encode())]

    def close(self) -> None:
        """Lets go of the request when it is answered; what was learned of it stays.

        The request refers to its exchange: as a cycle the two would be left to the garbage collector, which cost a
        limited route a tenth of its time.
        """
        del self.scope, self._receive


class Check(Protocol):
    """One guard: None lets the request pass on, a `Refusal` answers it.

    An error of our tree that it raises is answered by the reply table.
    """

    async def __call__(self, exchange: Exchange) -> Refusal | None: ...


def exchange_of(request: Request) -> Exchange:
    """The exchange of a request on a guarded route."""
    exchange: Any = request.scope[_SCOPE_KEY]
    if not isinstance(exchange, Exchange):
        raise TypeError("the route is not guarded")
    return exchange
