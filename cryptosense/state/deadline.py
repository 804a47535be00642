"""One deadline for all state calls of one request.

The request opens a budget; each state call takes from it the time during which the backend kept it waiting. Time spent
elsewhere (an upstream fetch, the database) costs nothing, and calls that run side by side cost their common time once.
When nothing is left, further calls fail at once with `StateUnavailable`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic


class Budget:
    """What a request has left for its state, in seconds."""

    __slots__ = ("_active", "_clock", "_left", "_since")

    def __init__(self, budget_ms: float, clock: Callable[[], float] = monotonic) -> None:
        self._left = budget_ms / 1000
        self._clock = clock
        self._active = 0
        self._since = 0.0

    def left(self) -> float:
        """Seconds; 0 or less when it is used up."""
        return self._left - (self._clock() - self._since) if self._active else self._left

    def begin(self) -> float:
        """Starts a call and says what it may take, in seconds."""
        now = self._clock()
        if self._active == 0:
            self._since = now
        self._active += 1
        return self._left - (now - self._since)

    def end(self) -> None:
        """Ends a call."""
        self._active -= 1
        if self._active == 0:
            self._left -= self._clock() - self._since


_current: ContextVar[Budget | None] = ContextVar("cryptosense_state_budget", default=None)


@contextmanager
def deadline(budget_ms: float) -> Iterator[Budget]:
    """All state calls within the block, and in tasks started there, share `budget_ms`."""
    budget = Budget(budget_ms)
    token = _current.set(budget)
    try:
        yield budget
    finally:
        _current.reset(token)


def current_budget() -> Budget | None:
    """The budget of the request that this code runs for, if there is one."""
    return _current.get()
