"""Sliding windows in process memory: the same three algorithms, with the same arithmetic, as the Lua scripts."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from cryptosense.clock import Clock
from cryptosense.state.contracts import Admission, Algorithm, Quota
from cryptosense.state.keys import known_as
from cryptosense.state.memory.shelf import Shelf
from cryptosense.state.tokens import checked_decision


@dataclass(slots=True)
class _Log:
    """Times of admission in µs, oldest first, and the decision that each belongs to."""

    times: list[int] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Counter:
    """Admissions in the aligned window number `index`, and in the one before it."""

    index: int
    current: int
    previous: int


class MemoryWindows:
    """Implements `WindowState`."""

    def __init__(self, clock: Clock) -> None:
        self._logs: Shelf[_Log] = Shelf(clock)
        self._counters: Shelf[_Counter] = Shelf(clock)
        self._arrivals: Shelf[int] = Shelf(clock)
        self._decide: dict[Algorithm, Callable[[str, Quota, str | None], Admission]] = {
            Algorithm.LOG: self._log,
            Algorithm.COUNTER: self._counter,
            Algorithm.GCRA: self._gcra,
        }

    async def admit(self, client: str, quota: Quota, decision: str) -> Admission:
        checked_decision(decision)
        return self._decide[quota.algorithm](client, quota, decision)

    async def peek(self, client: str, quota: Quota) -> Admission:
        return self._decide[quota.algorithm](client, quota, None)

    async def forget(self, client: str) -> None:
        for shelf in (self._logs, self._counters, self._arrivals):
            shelf.remove(client)

    async def live(self) -> AsyncIterator[str]:
        for client in {*self._logs.names(), *self._counters.names(), *self._arrivals.names()}:
            yield known_as(client)

    def _log(self, client: str, quota: Quota, decision: str | None) -> Admission:
        now, window = self._logs.now(), quota.window_ms * 1000
        log = self._logs.get(client) or _Log()
        expired = sum(1 for at in log.times if at <= now - window)
        times, decisions = log.times[expired:], log.decisions[expired:]
        count = len(times)
        if decision is not None and decision in decisions:
            return Admission(True, max(0, quota.limit - count), _wait(times, quota.limit, window, now), replayed=True)
        if count >= quota.limit:
            return Admission(False, 0, _wait(times, quota.limit, window, now))
        times.append(now)
        if decision is not None:
            self._logs.put(client, _Log(times, [*decisions, decision]), ttl_ms=quota.window_ms)
        return Admission(True, quota.limit - count - 1, _wait(times, quota.limit, window, now))

    def _counter(self, client: str, quota: Quota, decision: str | None) -> Admission:
        now, window, limit = self._counters.now(), quota.window_ms * 1000, quota.limit
        index, elapsed = divmod(now, window)
        held = self._counters.get(client) or _Counter(index, 0, 0)
        if held.index == index:
            current, previous = held.current, held.previous
        else:
            current, previous = 0, held.current if held.index == index - 1 else 0
        # Cloudflare's estimate: the previous window counts by the share of it that the sliding window still covers.
        weighted = previous * (window - elapsed)
        admitted = weighted + (current + 1) * window <= limit * window
        if admitted:
            current += 1
            if decision is not None:
                self._counters.put(client, _Counter(index, current, previous), ttl_ms=2 * quota.window_ms)
        remaining = max(0, (limit * window - current * window - weighted) // window)
        return Admission(
            admitted, remaining, _counter_wait(_Counter(index, current, previous), remaining, quota, elapsed)
        )

    def _gcra(self, client: str, quota: Quota, decision: str | None) -> Admission:
        now, window, limit = self._arrivals.now(), quota.window_ms * 1000, quota.limit
        interval = max(1, window // limit)
        burst = limit * interval
        arrival = max(self._arrivals.get(client) or 0, now)
        admitted = arrival + interval - now <= burst
        if admitted:
            arrival += interval
            if decision is not None:
                self._arrivals.put(client, arrival, ttl_ms=_ceil_ms(arrival - now))
        remaining = max(0, (burst - (arrival - now)) // interval)
        until_next = (remaining + 1) * interval - (burst - (arrival - now))
        return Admission(admitted, remaining, _ceil_ms(until_next))


def _wait(times: list[int], limit: int, window: int, now: int) -> int:
    """Milliseconds until the admission leaves that makes room; where the limit has shrunk it is not the oldest."""
    return _ceil_ms(times[max(0, len(times) - limit)] + window - now)


def _counter_wait(counts: _Counter, remaining: int, quota: Quota, elapsed: int) -> int:
    """Milliseconds until `remaining` grows by one, as the counts stand."""
    window, room = quota.window_ms * 1000, quota.limit - remaining - 1
    if counts.current <= room and counts.previous:
        # The moment in this window at which the previous one's share has shrunk to what the limit leaves.
        return _ceil_ms(max(0, window - elapsed - (room - counts.current) * window // counts.previous))
    # These counts become the previous ones when the window turns, and have to shrink in the next one.
    shrinking = window - room * window // counts.current if counts.current else 0
    return _ceil_ms(window - elapsed + max(0, shrinking))


def _ceil_ms(microseconds: int) -> int:
    return -(-microseconds // 1000)
