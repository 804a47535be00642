"""Time as an argument, so that tests freeze it and nothing has to sleep.

Only the memory backend and the in-process parts ask a `Clock`; the Redis backend asks Redis (`TIME`), whose clock is
the one that all instances share.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings, as of the standard library's `time`."""

    def now(self) -> float:
        """Unix time in seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to. It counts whole microseconds, so that steps do not add up rounding."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._micros = round(start * 1_000_000)

    def now(self) -> float:
        return self._micros / 1_000_000

    def monotonic(self) -> float:
        return self._micros / 1_000_000

    def advance(self, seconds: float) -> None:
        """Moves both readings forward.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError("a clock does not go back; build another one for a skewed instance")
        self._micros += round(seconds * 1_000_000)
