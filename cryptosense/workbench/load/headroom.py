"""How close a generator came to being the bottleneck itself."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

LATE_S = 0.05
"""A request sent this much after it was due, or a turn of the loop this late, is the generator's own delay."""

_TICK_S = 0.02


@dataclass(slots=True)
class Headroom:
    """Processor time, delays of the event loop, and delays of sending against an open loop's schedule."""

    lags: list[float] = field(default_factory=list)
    ticks: list[float] = field(default_factory=list)
    _began: tuple[float, float] = (0.0, 0.0)
    _ended: tuple[float, float] = (0.0, 0.0)

    def begin(self) -> None:
        self._began = (time.monotonic(), time.process_time())

    def end(self) -> None:
        self._ended = (time.monotonic(), time.process_time())

    async def watch_loop(self) -> None:
        """Notes by how much each turn of the loop comes late, until cancelled."""
        while True:
            due = time.monotonic() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self.ticks.append(max(0.0, time.monotonic() - due))

    def summary(self, requests: int, *, peak_kib: int) -> dict[str, Any]:
        """`busy` is the largest of: processor share, share of late turns, share of late sends (0 to 1 each)."""
        wall = max(self._ended[0] - self._began[0], 1e-9)
        spent = self._ended[1] - self._began[1]
        late_turns, late_sends = _late(self.ticks), _late(self.lags)
        return {
            "requests": requests,
            "seconds": wall,
            "cpu_share": spent / wall,
            "cpu_us": 1e6 * spent / max(requests, 1),
            "late_turns": late_turns,
            "late_sends": late_sends,
            "lag_p99_s": _p99(self.lags or self.ticks),
            "busy": min(1.0, max(spent / wall, late_turns, late_sends)),
            "peak_kib": peak_kib,
        }


def _late(delays: list[float]) -> float:
    return sum(delay > LATE_S for delay in delays) / len(delays) if delays else 0.0


def _p99(delays: list[float]) -> float:
    return sorted(delays)[int(0.99 * (len(delays) - 1))] if delays else 0.0
