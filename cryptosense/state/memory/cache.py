"""A cache in process memory, with the same leases, fences and tags as the shared one."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cryptosense.clock import Clock
from cryptosense.state.contracts import CacheKey, Entry, EntryKind, Lease, Unchanged
from cryptosense.state.glob import Glob
from cryptosense.state.keys import label
from cryptosense.state.memory.shelf import Shelf
from cryptosense.state.tokens import checked_fence


@dataclass(frozen=True, slots=True)
class _Stored:
    """`stale_at` is the µs at which the entry stops being fresh."""

    key: CacheKey
    kind: EntryKind
    body: bytes
    encoding: Literal["identity", "gzip"]
    version: str
    stale_at: int


@dataclass(frozen=True, slots=True)
class _Held:
    key: CacheKey
    fence: str


class MemoryCache:
    """Implements `CacheState`."""

    def __init__(self, clock: Clock) -> None:
        self._entries: Shelf[_Stored] = Shelf(clock)
        self._leases: Shelf[_Held] = Shelf(clock)
        self._tagged: Shelf[dict[str, tuple[CacheKey, int]]] = Shelf(clock)
        self._waiters: dict[str, tuple[asyncio.Event, int]] = {}

    async def read(self, key: CacheKey, *, known: str | None = None) -> Entry | Unchanged | None:
        found = self._read(key)
        return Unchanged(found.fresh_ms) if found is not None and found.version == known else found

    async def read_or_lease(
        self, key: CacheKey, *, fence: str, lease_ms: int, tags: Sequence[str] = ()
    ) -> tuple[Entry | None, Lease | None]:
        checked_fence(fence)
        found, name = self._read(key), _name(key)
        if (found is not None and found.fresh_ms > 0) or self._leases.get(name) is not None:
            return found, None
        self._leases.put(name, _Held(key, fence), ttl_ms=lease_ms)
        self._tag(key, tags, ttl_ms=lease_ms)
        return found, Lease(key, fence)

    async def store(
        self,
        lease: Lease,
        kind: EntryKind,
        body: bytes,
        *,
        encoding: Literal["identity", "gzip"] = "identity",
        fresh_ms: int,
        stale_ms: int,
        tags: Sequence[str] = (),
    ) -> str | None:
        name = _name(lease.key)
        if not self._holds(lease):
            return None
        self._leases.remove(name)
        stale_at = self._entries.now() + fresh_ms * 1000
        stored = _Stored(lease.key, kind, bytes(body), encoding, lease.fence, stale_at)
        self._entries.put(name, stored, ttl_ms=fresh_ms + stale_ms)
        self._tag(lease.key, tags, ttl_ms=fresh_ms + stale_ms)
        self._wake(name)
        return lease.fence

    async def release(self, lease: Lease) -> None:
        if self._holds(lease):
            self._leases.remove(_name(lease.key))
            self._wake(_name(lease.key))

    async def wait(self, key: CacheKey, *, timeout_ms: int) -> None:
        name = _name(key)
        lease_ms = (self._leases.expires(name) - self._leases.now()) / 1000
        if lease_ms <= 0:
            return
        ended, waiting = self._waiters.get(name, (asyncio.Event(), 0))
        self._waiters[name] = (ended, waiting + 1)
        try:
            async with asyncio.timeout(min(timeout_ms, lease_ms) / 1000):
                await ended.wait()
        except TimeoutError:
            return
        finally:
            self._forget_waiter(name, ended)

    async def invalidate(self, *keys: CacheKey) -> int:
        return self._drop(_name(key) for key in keys)

    async def invalidate_tags(self, space: str, tags: Sequence[str]) -> int:
        names = {name: None for tag in tags for name in self._tagged.remove(label(space, tag)) or {}}
        return self._drop(names)

    async def invalidate_space(self, space: str, pattern: str = "*") -> int:
        glob = Glob(pattern)
        leased = [name for name in self._leases.names() if (held := self._leases.get(name)) and held.key.space == space]
        for name in leased:
            self._leases.remove(name)
            self._wake(name)
        stored = {name: entry.key for name in self._entries.names() if (entry := self._entries.get(name))}
        return self._drop([name for name, key in stored.items() if key.space == space and glob.matches(key.name)])

    async def live(self) -> AsyncIterator[str]:
        for name in self._entries.names():
            yield name

    def _read(self, key: CacheKey) -> Entry | None:
        found = self._entries.get(_name(key))
        if found is None:
            return None
        fresh_ms = (found.stale_at - self._entries.now()) // 1000
        return Entry(found.kind, found.body, found.encoding, found.version, fresh_ms)

    def _holds(self, lease: Lease) -> bool:
        held = self._leases.get(_name(lease.key))
        return held is not None and held.fence == lease.fence

    def _tag(self, key: CacheKey, tags: Iterable[str], *, ttl_ms: int) -> None:
        now = self._tagged.now()
        expires = now + ttl_ms * 1000
        for tag in tags:
            name = label(key.space, tag)
            under = {n: held for n, held in (self._tagged.get(name) or {}).items() if held[1] > now}
            before = under.get(_name(key), (key, 0))[1]
            under[_name(key)] = (key, max(before, expires))
            longest = max(at for _, at in under.values())
            self._tagged.put(name, under, ttl_ms=-(-(longest - now) // 1000))

    def _drop(self, names: Iterable[str]) -> int:
        dropped = 0
        for name in names:
            dropped += self._entries.remove(name) is not None
            if self._leases.remove(name) is not None:
                self._wake(name)
        return dropped

    def _wake(self, name: str) -> None:
        if name in self._waiters:
            self._waiters.pop(name)[0].set()

    def _forget_waiter(self, name: str, ended: asyncio.Event) -> None:
        found = self._waiters.get(name)
        if found is None or found[0] is not ended:
            return
        if found[1] == 1:
            del self._waiters[name]
        else:
            self._waiters[name] = (ended, found[1] - 1)


def _name(key: CacheKey) -> str:
    return label(key.space, key.name)
