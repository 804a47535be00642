"""One connection to one server, shared by every call of the process.

Calls issued within one turn of the event loop leave together, and replies are handed out in order as they come, so
nothing waits for a connection and no pool can run dry. A call on an idle link leaves at once, and of many the first
ones leave while the rest is still being packed, so that client and server work side by side. A call is given up at its
deadline, and its reply, should it still come, is thrown away; a cancelled call is treated the same, so replies cannot
shift. Nothing is ever sent twice.

    new ──> connecting ──> ready ──> (lost) ──> connecting ──> ready
                │                                   │
                └──> down, fails at once <──────────┘   until an attempt succeeds; attempts go on in the background
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import Connection

from cryptosense.errors import OutcomeUnknown, StateUnavailable
from cryptosense.state.observer import StateObserver
from cryptosense.state.redis.failures import LOST, described
from cryptosense.state.redis.wire import Wire

FIRST_BACKOFF_S = 0.05
LONGEST_BACKOFF_S = 0.2  # well under the promised second: a failover should not be prolonged by waiting
_DOUBLINGS = 10  # more make no difference, and an outage of hours would overflow
LASTING_S = 1.0  # a connection that ends sooner has failed as much as one that never opened
WRITE_CALLS = 16
"""So many calls are worth a write of their own; measured to keep both sides busy at 64 callers."""
_EARLY_S = 0.001  # uvloop's timers count whole milliseconds
_LATE_S = 0.02  # a timer that fires so late tells of a busy event loop; replies may lie unread

Argument = str | bytes | int
Opening = Callable[[], Awaitable[Wire]]


class _Call:
    __slots__ = ("deadline", "future", "packed", "sent")

    def __init__(self, packed: bytes, future: "asyncio.Future[Any]", deadline: float) -> None:
        self.packed = packed
        self.future = future
        self.deadline = deadline
        self.sent = 0.0


class Link:
    """Calls to one server.

    `opening` gives a connected, greeted connection and is asked anew for each attempt, so that it can look up where the
    primary is now. `stall_s`: a server that owes a reply for so long is taken for dead.
    """

    def __init__(self, server: str, opening: Opening, *, stall_s: float, observer: StateObserver) -> None:
        self.server = server
        self._opening = opening
        self._stall_s = stall_s
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._pending: list[_Call] = []
        self._in_flight: deque[_Call] = deque()
        self._wire: Wire | None = None
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._writable = True
        self._flushing = False
        self._down: str | None = None
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._closing = False
        self._running = self._loop.create_task(self._run(), name=f"redis link {server}")

    @property
    def ready(self) -> bool:
        return self._wire is not None

    @property
    def idle(self) -> bool:
        """Whether no call is under way."""
        return not self._pending and not self._in_flight

    @property
    def down(self) -> bool:
        """Whether the last attempt to connect failed."""
        return self._down is not None

    def submit(self, packed: bytes, deadline: float) -> "asyncio.Future[Any]":
        """Sends one packed command, with whatever else is issued in this turn of the loop unless the link is idle.

        The future gives the reply, an error reply as the `ResponseError` itself and not raised; it raises
        `StateUnavailable` (not sent) or `OutcomeUnknown` (sent, and no reply until `deadline` in loop time).
        """
        future = self._loop.create_future()
        if self._down is not None:
            future.set_exception(StateUnavailable(f"{self.server} is out of reach: {self._down}"))
            return future
        pending = self._pending
        pending.append(_Call(packed, future, deadline))
        if not self._in_flight or len(pending) >= WRITE_CALLS:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush_turn)
        self._watch(deadline)
        return future

    def submit_all(self, commands: Sequence[bytes], deadline: float) -> "list[asyncio.Future[Any]]":
        """Sends packed commands in one write, as `submit` does with one."""
        # While others are waited for, all of these would leave in one write anyhow.
        if self._in_flight or self._down is not None:
            return [self.submit(command, deadline) for command in commands]
        futures = [self._loop.create_future() for _ in commands]
        self._pending += [_Call(command, future, deadline) for command, future in zip(commands, futures, strict=True)]
        self._flush()
        self._watch(deadline)
        return futures

    async def wait_ready(self, seconds: float) -> bool:
        """Waits until the link is ready, at most so long; whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.ready:
                    self._changed.clear()
                    await self._changed.wait()
        return self.ready

    def distrust(self, reason: str) -> None:
        """Drops the connection, so that the next one is looked up anew."""
        self.lost(reason)

    async def close(self) -> None:
        """Ends the link; calls that have not been answered fail."""
        self._closing = True
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running
        if self._timer is not None:
            self._timer.cancel()
        self._fail_all("the link was closed")
        self._down = "the link was closed"

    async def _run(self) -> None:
        """Connects, serves, and connects again; a connection that did not last counts as a failed attempt."""
        failures = 0
        while True:
            wire = await self._connect(failures)
            opened_at = self._loop.time()
            self._down, self._wire, self._writable = None, wire, True
            self._observer.event("connect", server=self.server)
            self._changed.set()
            self._observer.event("ready", server=self.server)
            reason = await self._serve(wire)
            self._fail_in_flight(reason)
            self._observer.event("close", server=self.server, reason=reason)
            self._observer.event("reconnecting", server=self.server)
            failures = failures + 1 if self._loop.time() - opened_at < LASTING_S else 0
            if failures:
                self._refuse(reason)

    async def _connect(self, failures: int) -> Wire:
        """Tries until it succeeds; the delay before an attempt is drawn from a range that grows with the failures."""
        told = False
        while True:
            if failures:
                most = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(failures, _DOUBLINGS))
                await asyncio.sleep(random.uniform(0.5, 1.0) * most)
            try:
                wire = await self._opening()
            except LOST as error:
                failures += 1
                self._refuse(described(error))
                if not told:
                    self._observer.event("error", server=self.server, reason=described(error))
                told = True
            else:
                if not self._closing:
                    return wire
                await wire.close()
            if self._closing:  # redis-py 8.1 swallows half of the cancellations that meet one of its commands
                raise asyncio.CancelledError

    async def _serve(self, wire: Wire) -> str:
        """Lets calls and replies pass until the connection ends; says why it did."""
        self._ended = self._loop.create_future()
        wire.serve(self)
        self._flush()
        try:
            return await self._ended
        finally:
            self._wire = None
            await wire.close()

    def hear(self, reply: Any) -> None:
        """Hands the reply to the oldest call that has none."""
        if not self._in_flight:
            self.lost("it sent a reply that nobody had asked for")
            return
        future = self._in_flight.popleft().future
        if not future.done():
            future.set_result(reply)

    def writable(self, yes: bool) -> None:
        """While the server takes nothing, calls are kept here, where their deadlines are."""
        self._writable = yes
        if yes:
            self._flush()

    def lost(self, reason: str) -> None:
        """Ends the connection that is in use; nothing is written to it any more."""
        self._wire = None
        if not self._ended.done():
            self._ended.set_result(reason)

    def _flush_turn(self) -> None:
        self._flushing = False
        self._flush()

    def _flush(self) -> None:
        """Sends what is pending, as one write."""
        wire = self._wire
        if wire is None or wire.closing or not self._writable or not self._pending:
            return
        calls = [call for call in self._pending if not call.future.done()]
        self._pending.clear()
        if not calls:
            return
        now = self._loop.time()
        for call in calls:
            call.sent = now
        self._in_flight.extend(calls)
        wire.send(calls[0].packed if len(calls) == 1 else b"".join([call.packed for call in calls]))

    def _refuse(self, reason: str) -> None:
        """From now on calls fail at once, until an attempt to connect succeeds."""
        self._down = reason
        self._fail_pending(reason)

    def _watch(self, moment: float) -> None:
        """Has a look at the deadlines then, unless there is one sooner."""
        if self._timer is not None:
            if moment >= self._due:
                return
            self._timer.cancel()
        self._due = moment
        self._timer = self._loop.call_at(moment, self._expire)

    def _expire(self) -> None:
        """Gives up what has passed its deadline, and the connection when it owes a reply for too long."""
        self._timer = None
        now = self._loop.time() + _EARLY_S
        if now - self._due > _LATE_S:
            self._watch(now + _LATE_S / 2)
            return
        for call in self._in_flight:
            if call.deadline <= now and not call.future.done():
                call.future.set_exception(OutcomeUnknown(f"{self.server} did not answer within the deadline"))
        for call in self._pending:
            if call.deadline <= now and not call.future.done():
                call.future.set_exception(StateUnavailable(f"{self.server} could not be asked within the deadline"))
        self._pending = [call for call in self._pending if not call.future.done()]
        if self._in_flight and now - self._in_flight[0].sent >= self._stall_s:
            self.lost(f"it has owed a reply for {self._stall_s:g} s")
            return
        moments = [call.deadline for call in [*self._in_flight, *self._pending] if not call.future.done()]
        if self._in_flight:
            moments.append(self._in_flight[0].sent + self._stall_s)
        if moments:
            self._watch(min(moments))

    def _fail_in_flight(self, reason: str) -> None:
        while self._in_flight:
            future = self._in_flight.popleft().future
            if not future.done():
                future.set_exception(OutcomeUnknown(f"{self.server} was lost before it answered: {reason}"))

    def _fail_pending(self, reason: str) -> None:
        calls, self._pending = self._pending, []
        for call in calls:
            if not call.future.done():
                call.future.set_exception(StateUnavailable(f"{self.server} is out of reach: {reason}"))

    def _fail_all(self, reason: str) -> None:
        self._fail_in_flight(reason)
        self._fail_pending(reason)


def packed(*parts: Argument) -> bytes:
    """A command as it goes on the wire."""
    return pack_command(parts)  # type: ignore[arg-type,no-any-return]  # its stub takes tuples of one


async def greet(connection: Connection, commands: Sequence[bytes]) -> list[Any]:
    """Sends packed commands on a connection that is not in use yet; their replies, error replies raised."""
    await connection.send_packed_command(b"".join(commands), check_health=False)
    return [await connection.read_response(disable_decoding=True) for _ in commands]
