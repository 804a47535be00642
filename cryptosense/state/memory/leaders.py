"""Leads in process memory, where only this process can hold them."""

from cryptosense.clock import Clock
from cryptosense.state.memory.shelf import Shelf


class MemoryLeaders:
    """Implements `LeaderState`."""

    def __init__(self, clock: Clock) -> None:
        self._holders: Shelf[str] = Shelf(clock)

    async def lead(self, task: str, holder: str, *, ttl_ms: int) -> bool:
        if self._holders.get(task) not in (None, holder):
            return False
        self._holders.put(task, holder, ttl_ms=ttl_ms)
        return True

    async def resign(self, task: str, holder: str) -> None:
        if self._holders.get(task) == holder:
            self._holders.remove(task)
