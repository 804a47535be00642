"""A client that costs less than any server here: prebuilt requests, kept-alive connections, a parser in C.

It measures a server's capacity and nothing else: no redirects, no cookies, no retries, one answer awaited before the
next request on each connection.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import httptools
import psutil


@dataclass(slots=True)
class Volley:
    """What a volley came to: answers by status, seconds, and the CPU seconds that the server's process spent."""

    seconds: float
    server_cpu: float
    statuses: Counter[int] = field(default_factory=Counter)
    body_bytes: int = 0

    @property
    def answered(self) -> int:
        return self.statuses.total()


class _Connection(asyncio.Protocol):
    """Sends the request again as soon as its answer is whole, until the shared count is used up."""

    def __init__(self, request: bytes, shots: "_Shots", volley: Volley) -> None:
        self._request = request
        self._shots = shots
        self._volley = volley
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # TCP gives a Transport
        self._fire()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._volley.body_bytes += len(body)

    def on_message_complete(self) -> None:
        self._volley.statuses[self._parser.get_status_code()] += 1
        self._fire()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed a connection mid-way"))

    def _fire(self) -> None:
        if not self._shots.take():
            self.done.set_result(None)
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(self._request)


class _Shots:
    def __init__(self, count: int) -> None:
        self._left = count

    def take(self) -> bool:
        self._left -= 1
        return self._left >= 0


def request_bytes(path: str, port: int, headers: dict[str, str] | None = None) -> bytes:
    """A GET as it goes on the wire."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def fire(request: bytes, port: int, *, pid: int, connections: int, count: int) -> Volley:
    """Sends `count` requests over `connections` kept-alive connections to 127.0.0.1.

    Raises:
        ConnectionError: the server closed a connection before its answer was whole.
    """
    volley, shots = Volley(0.0, 0.0), _Shots(count)
    loop = asyncio.get_running_loop()
    server = psutil.Process(pid)
    before, started = server.cpu_times(), time.perf_counter()
    opened = await asyncio.gather(
        *(
            loop.create_connection(lambda: _Connection(request, shots, volley), "127.0.0.1", port)
            for _ in range(connections)
        )
    )
    await asyncio.gather(*(protocol.done for _, protocol in opened))
    volley.seconds = time.perf_counter() - started
    after = server.cpu_times()
    volley.server_cpu = (after.user + after.system) - (before.user + before.system)
    return volley
