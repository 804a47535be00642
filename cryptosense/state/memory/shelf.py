"""A dictionary whose entries expire, and which does not grow with what has expired."""

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Generic, TypeVar

from cryptosense.clock import Clock

V = TypeVar("V")

_SLACK = 64  # superseded expiries that are kept before the heap is rebuilt, beyond one per entry


class Shelf(Generic[V]):
    """Entries by name, each with the moment at which it is gone; an entry is gone at that very moment.

    Each `put` removes what has expired, so the memory held is bounded by what is live. Time is whole microseconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, tuple[V, int, int]] = {}
        self._expiries: list[tuple[int, int, str]] = []
        self._serial = count()

    def now(self) -> int:
        """Unix time in µs."""
        return round(self._clock.now() * 1_000_000)

    def get(self, name: str) -> V | None:
        found = self._entries.get(name)
        if found is None:
            return None
        value, expires, _ = found
        if expires <= self.now():
            del self._entries[name]
            return None
        return value

    def expires(self, name: str) -> int:
        """When the entry will be gone, in µs of Unix time; 0 when there is none."""
        return self._entries[name][1] if self.get(name) is not None else 0

    def put(self, name: str, value: V, *, ttl_ms: int) -> None:
        now = self.now()
        serial = next(self._serial)
        expires = now + ttl_ms * 1000
        self._entries[name] = (value, expires, serial)
        heapq.heappush(self._expiries, (expires, serial, name))
        self._drop_expired(now)

    def remove(self, name: str) -> V | None:
        """The entry that was there, unless it had expired."""
        value = self.get(name)
        self._entries.pop(name, None)
        return value

    def names(self) -> Iterator[str]:
        """Those that are live now; the shelf may change meanwhile."""
        now = self.now()
        return iter([name for name, (_, expires, _) in self._entries.items() if expires > now])

    def __len__(self) -> int:
        return len(self._entries)

    def _drop_expired(self, now: int) -> None:
        while self._expiries and self._expiries[0][0] <= now:
            _, serial, name = heapq.heappop(self._expiries)
            found = self._entries.get(name)
            if found is not None and found[2] == serial:
                del self._entries[name]
        if len(self._expiries) > 2 * len(self._entries) + _SLACK:
            self._expiries = [(expires, serial, name) for name, (_, expires, serial) in self._entries.items()]
            heapq.heapify(self._expiries)
