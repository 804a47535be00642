"""An open connection without tasks in between: bytes leave when they are given, replies are handed over as they arrive.

redis-py opens it: TCP or TLS, credentials, database, name. What it has opened is then served by a protocol of asyncio's
own (`Transport.set_protocol`), because redis-py reads through a stream, which costs two more turns of the event loop
and a task's wake-up for each reply. hiredis reads the replies, and redis-py's own table names the errors.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from hiredis import PushNotification, Reader
from redis.asyncio.connection import Connection
from redis.exceptions import BusyLoadingError, InvalidResponse, RedisError
from redis.exceptions import ConnectionError as NoConnection

from cryptosense.state.redis.failures import LOST, described

_INCOMPLETE = object()


class Listener(Protocol):
    """What a wire tells, from within the event loop's turn in which it happens."""

    def hear(self, reply: Any) -> None:
        """A reply; an error reply is the exception itself."""
        ...

    def writable(self, yes: bool) -> None:
        """Whether the other side takes what is sent, or so much of it lies here that sending should wait."""
        ...

    def lost(self, reason: str) -> None:
        """It has ended. Told once."""
        ...


class Wire(asyncio.Protocol):
    """`connection` is open and greeted, and no reply is under way; from here on it is used through the wire alone."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # The driver has no public way to the transport under its connection, nor to its table of errors.
        opened: Any = connection
        self._transport: asyncio.Transport = opened._writer.transport
        self._named: Callable[[str], RedisError] = opened._parser.parse_error
        self._reader = Reader(protocolError=InvalidResponse, replyError=self._error, notEnoughData=_INCOMPLETE)
        self._refused: RedisError | None = None
        self._listener: Listener | None = None

    @property
    def closing(self) -> bool:
        """Whether it has ended, even where the listener has not been told yet."""
        return self._transport.is_closing()

    def serve(self, listener: Listener) -> None:
        """From now on the listener hears what comes."""
        self._listener = listener
        self._transport.set_protocol(self)
        if self._transport.is_closing():
            self._end("it was closed")

    def send(self, packed: bytes) -> None:
        """Sends packed commands; what cannot leave at once leaves as soon as it can."""
        self._transport.write(packed)

    async def close(self) -> None:
        """Ends it at once; what has not left is dropped, and the listener hears no more."""
        self._listener = None
        self._transport.abort()
        with suppress(*LOST):
            await self._connection.disconnect(nowait=True)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _INCOMPLETE:
                if self._refused is not None:
                    self._end(described(self._refused))
                if self._listener is None:
                    return
                if not isinstance(reply, PushNotification):  # what is pushed answers nothing
                    self._listener.hear(reply)
        except InvalidResponse as error:
            self._end(described(error))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(described(exc) if exc is not None else "the server closed the connection")

    def pause_writing(self) -> None:
        if self._listener is not None:
            self._listener.writable(False)

    def resume_writing(self) -> None:
        if self._listener is not None:
            self._listener.writable(True)

    def _end(self, reason: str) -> None:
        listener, self._listener = self._listener, None
        self._transport.abort()
        if listener is not None:
            listener.lost(reason)

    def _error(self, text: str) -> RedisError:
        """The driver's error for an error reply; one that speaks of the connection itself ends it."""
        error = self._named(text)
        if isinstance(error, NoConnection) and not isinstance(error, BusyLoadingError):
            self._refused = error
        return error
