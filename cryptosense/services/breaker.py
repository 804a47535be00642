"""Knows when asking the state is a waste of a request's time, and when it is worth asking again.

Several failures in a row open it; while open, one caller in a while is let through as a probe, and a background task
probes too, so that it closes without traffic. A call that failed while this process's own event loop stood still says
nothing about the server and is not counted.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable

from cryptosense.clock import Clock
from cryptosense.errors import StateCorrupt, StateError

_log = logging.getLogger(__name__)


class LoopLag:
    """How late this process's event loop was, from a heartbeat that should come every `beat_s` seconds."""

    def __init__(self, clock: Clock, *, beat_s: float = 0.1, late_s: float = 0.05) -> None:
        self._clock = clock
        self.beat_s = beat_s
        self._late_s = late_s
        self._due: float | None = None
        self._late: deque[tuple[float, float]] = deque(maxlen=64)

    def beat(self) -> None:
        """Call every `beat_s`; notes how late the call came."""
        now = self._clock.monotonic()
        if self._due is not None and now - self._due > self._late_s:
            self._late.append((now, now - self._due))
        self._due = now + self.beat_s

    def rest(self) -> None:
        """The next beat is not due before another `beat_s` from now."""
        self._due = self._clock.monotonic() + self.beat_s

    def since(self, moment: float) -> float:
        """The longest lag, in seconds, that ended after `moment` or goes on now."""
        lag = max((lag for ended, lag in self._late if ended >= moment), default=0.0)
        if self._due is None:
            return lag
        return max(lag, self._clock.monotonic() - self._due)


class Breaker:
    """Closed: ask the state. Open: do not, but for probes.

    Args:
        clock: monotonic readings only.
        failures: this many in a row open it.
        probe_every_s: at most this long between two probes; jittered downwards.
        lag_s: an event loop that stood still this long explains a failure by itself.
        on_change: told True when it opens and False when it closes.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        failures: int = 3,
        probe_every_s: float = 0.5,
        lag_s: float = 0.1,
        on_change: Callable[[bool], None] | None = None,
    ) -> None:
        self._clock = clock
        self._failures_to_open = max(1, failures)
        self._probe_every_s = probe_every_s
        self._lag_s = lag_s
        self._on_change = on_change
        self.lag = LoopLag(clock)
        self.discounted = 0  # failures put down to the loop
        self.opened = 0
        self._in_a_row = 0
        self._next_probe: float | None = None  # None: closed

    @property
    def is_open(self) -> bool:
        return self._next_probe is not None

    def allows(self) -> bool:
        """Whether to ask the state now; while open, True once per probe interval."""
        if self._next_probe is None:
            return True
        now = self._clock.monotonic()
        if now < self._next_probe:
            return False
        self._schedule_probe(now)
        return True

    def succeeded(self) -> None:
        """The state answered."""
        self._in_a_row = 0
        if self._next_probe is not None:
            self._next_probe = None
            _log.warning("the state answers again; it decides from now on", extra={"event": "breaker_closed"})
            if self._on_change is not None:
                self._on_change(False)

    def failed(self, started: float) -> None:
        """The state did not answer a call that was made at `started` (a monotonic reading)."""
        took = self._clock.monotonic() - started
        if min(took, self.lag.since(started)) >= self._lag_s:
            self.discounted += 1  # it failed for want of time, and this process had taken the time
            return
        self._in_a_row += 1
        if self._next_probe is not None or self._in_a_row < self._failures_to_open:
            return
        self._schedule_probe(self._clock.monotonic())
        self.opened += 1
        _log.warning(
            "the state does not answer; fallbacks take over",
            extra={"event": "breaker_opened", "failures": self._in_a_row},
        )
        if self._on_change is not None:
            self._on_change(True)

    async def watch(self, probe: Callable[[], Awaitable[object]]) -> None:
        """Runs until cancelled: the loop's heartbeat, and `probe` (raising `StateError` if it fails) while open."""
        while True:
            self.lag.beat()
            if self.is_open and self.allows():
                await self._try(probe)
            await asyncio.sleep(self.lag.beat_s)

    async def _try(self, probe: Callable[[], Awaitable[object]]) -> None:
        started = self._clock.monotonic()
        try:
            await probe()
        except StateCorrupt:
            self.succeeded()  # it answered
        except StateError:
            self.failed(started)
        else:
            self.succeeded()
        # The heartbeat waited for the probe: that is no lag. (While open, a discounted failure changes nothing.)
        self.lag.rest()

    def _schedule_probe(self, now: float) -> None:
        self._next_probe = now + self._probe_every_s * random.uniform(0.5, 1.0)
