"""A client that costs less than any server here: prebuilt requests, kept-alive connections, a parser in C.

It measures a server's capacity and nothing else: no redirects, no cookies, no retries, one answer awaited before the
next request on each connection.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
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

    def __init__(self, shots: "_Shots", volley: Volley) -> None:
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
        request = self._shots.take()
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)


class _Shots:
    """The requests that are left to send, in turn."""

    def __init__(self, requests: Sequence[bytes], count: int) -> None:
        self._requests = requests
        self._left = count

    def take(self) -> bytes | None:
        self._left -= 1
        return self._requests[self._left % len(self._requests)] if self._left >= 0 else None


def request_bytes(path: str, headers: Mapping[str, str]) -> bytes:
    """A GET as it goes on the wire."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def fire(requests: Sequence[bytes], port: int, *, pid: int, connections: int, count: int) -> Volley:
    """Sends `count` requests, taken in turn, over `connections` kept-alive connections to 127.0.0.1.

    Raises:
        ConnectionError: the server closed a connection before its answer was whole.
    """
    volley, shots = Volley(0.0, 0.0), _Shots(requests, count)
    loop = asyncio.get_running_loop()
    server = psutil.Process(pid)
    before, started = server.cpu_times(), time.perf_counter()
    opened = await asyncio.gather(
        *(loop.create_connection(lambda: _Connection(shots, volley), "127.0.0.1", port) for _ in range(connections))
    )
    await asyncio.gather(*(protocol.done for _, protocol in opened))
    volley.seconds = time.perf_counter() - started
    after = server.cpu_times()
    volley.server_cpu = (after.user + after.system) - (before.user + before.system)
    return volley
