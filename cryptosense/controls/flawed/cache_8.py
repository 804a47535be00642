"""CACHE-8: a pattern is deleted with DEL, which frees memory while everyone waits."""

from typing import Any

from cryptosense.controls.control import Control
from cryptosense.controls.plan.state import state_with
from cryptosense.state.contracts import CacheState


class Deleting:
    """A `CacheState` whose spaces are emptied key by key with SCAN and DEL."""

    def __init__(self, cache: CacheState, server: Any, prefix: str) -> None:
        self._cache = cache
        self._server = server
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    async def invalidate_space(self, space: str, pattern: str = "*") -> int:
        del pattern
        keys = [key async for key in self._server.scan_iter(match=f"{self._prefix}cache:*{space}*", count=100)]
        return int(await self._server.delete(*keys)) if keys else 0


CONTROL = Control(
    "CACHE-8",
    "Entries are dropped with DEL in batches of SCAN.",
    {"state": state_with(cache=lambda state, server, prefix: Deleting(state.cache, server, prefix))},
    one_server=True,
)
