"""The limiter that stands in, inside this process, while the state is out of reach.

Exact (it keeps the time of every admission in the window) and bounded: at most `clients` clients times their share of
the limit. A client that is pushed out by newer ones starts afresh; that is the price of the bound.
"""

from collections import deque

from cachetools import LRUCache

from cryptosense.clock import Clock
from cryptosense.state.contracts import Admission, Quota


class Insurance:
    """Sliding-window logs of the clients seen last.

    Args:
        clock: the process's own; it never goes back.
        clients: how many are remembered, least recently used out first.
    """

    def __init__(self, clock: Clock, *, clients: int = 10_000) -> None:
        self._clock = clock
        self._logs: LRUCache[str, deque[float]] = LRUCache(maxsize=max(1, clients))

    def admit(self, client: str, quota: Quota) -> Admission:
        """Admits `client` if its window has room; a denial leaves no trace."""
        now_ms = self._clock.monotonic() * 1000
        log = self._logs.get(client)
        if log is None:
            log = deque()
        while log and log[0] <= now_ms - quota.window_ms:
            log.popleft()
        admitted = len(log) < quota.limit
        if admitted:
            log.append(now_ms)
            self._logs[client] = log
        oldest = log[0] if log else now_ms
        return Admission(
            admitted=admitted,
            remaining=quota.limit - len(log),
            reset_ms=_whole_ms(oldest + quota.window_ms - now_ms),
        )

    def __len__(self) -> int:
        return len(self._logs)


def _whole_ms(duration: float) -> int:
    """Rounded up, so that a client that waits this long finds the slot free."""
    return int(-(-duration // 1))
