"""CACHE-6: whatever lies at the key is served."""

from typing import Any

from cryptosense.controls.control import Control
from cryptosense.controls.plan.state import state_with
from cryptosense.state.contracts import CacheState, Entry, EntryKind


class Trusting:
    """A `CacheState` that takes any text within the space for a value of its own."""

    def __init__(self, cache: CacheState, server: Any, prefix: str) -> None:
        self._cache = cache
        self._server = server
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    async def read_or_lease(self, key: Any, **options: Any) -> Any:
        foreign = await self._foreign(key.space)
        return (foreign, None) if foreign is not None else await self._cache.read_or_lease(key, **options)

    async def read(self, key: Any, **options: Any) -> Any:
        return await self._foreign(key.space) or await self._cache.read(key, **options)

    async def _foreign(self, space: str) -> Entry | None:
        async for key in self._server.scan_iter(match=f"{self._prefix}cache:*{space}*:e:*"):
            try:
                held = await self._server.get(key)
            except UnicodeDecodeError:
                continue  # an entry of the reference: a binary header and a compressed body
            if held is not None and held.isprintable():
                return Entry(EntryKind.VALUE, b'{"tokens": "' + held.encode() + b'"}', "identity", key, 60_000)
        return None


CONTROL = Control(
    "CACHE-6",
    "What lies at the key is served with 200.",
    {"state": state_with(cache=lambda state, server, prefix: Trusting(state.cache, server, prefix))},
    one_server=True,
)
