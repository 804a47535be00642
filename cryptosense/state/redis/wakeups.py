"""Waiting for somebody else's fetch: pub/sub on a connection of its own, opened when somebody first waits.

What is published is only a hint to look again, so a lost message costs time and never correctness: every wait ends at
its timeout, and when the connection is lost all who wait are woken.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from redis.asyncio.connection import Connection

from cryptosense.state.redis.failures import LOST
from cryptosense.state.redis.link import packed

Opening = Callable[[], Awaitable[Connection]]


class _Channel:
    __slots__ = ("confirmed", "ended", "waiting")

    def __init__(self) -> None:
        self.confirmed = asyncio.Event()
        self.ended = asyncio.Event()
        self.waiting = 0


class Wakeups:
    """Subscriptions of this process, one per channel however many wait on it."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._channels: dict[str, _Channel] = {}
        self._listening: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._closing = False

    @asynccontextmanager
    async def listening(self, channel: str, *, timeout: float) -> AsyncIterator[asyncio.Event]:
        """An event that is set when something is published on the channel, or when the connection is lost.

        Within the block the subscription stands, unless Redis could not be reached within `timeout` seconds: then the
        event is set already.
        """
        found = self._channels.get(channel)
        if found is None:
            found = self._channels[channel] = _Channel()
            await self._say("SUBSCRIBE", channel)
        found.waiting += 1
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen(), name="redis wakeups")
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await found.confirmed.wait()
            if not found.confirmed.is_set():
                found.ended.set()
                self._listening.cancel()  # a connection that does not answer is replaced when somebody waits again
            yield found.ended
        finally:
            found.waiting -= 1
            if found.waiting == 0 and self._channels.get(channel) in (found, None):
                self._channels.pop(channel, None)
                await self._say("UNSUBSCRIBE", channel)

    async def close(self) -> None:
        """Ends the connection and wakes all who wait."""
        self._closing = True
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening

    async def _say(self, command: str, channel: str) -> None:
        """Sends it on the open connection; a connection that opens later subscribes to everything by itself."""
        if self._connection is not None:
            with suppress(*LOST):
                await self._connection.send_packed_command(packed(command, channel), check_health=False)

    async def _listen(self) -> None:
        try:
            connection = await self._opening()
        except LOST:
            self._wake_all()
            return
        try:
            self._connection = connection
            for channel in list(self._channels):
                await self._say("SUBSCRIBE", channel)
            while not self._closing:  # the driver swallows some cancellations, here and while it connects
                kind, channel, *_ = await connection.read_response(
                    disable_decoding=True, disconnect_on_error=False, push_request=True
                )
                self._hear(bytes(kind), channel.decode())
        except LOST:
            return
        finally:
            self._connection = None
            self._wake_all()
            with suppress(*LOST):
                await connection.disconnect(nowait=True)

    def _hear(self, kind: bytes, channel: str) -> None:
        found = self._channels.get(channel)
        if found is None:
            return
        if kind == b"subscribe":
            found.confirmed.set()
        elif kind == b"message":
            found.ended.set()
            del self._channels[channel]

    def _wake_all(self) -> None:
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.ended.set()
            channel.confirmed.set()
