"""A cache in Redis: an entry is one string, a header and the body as it goes on the wire."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Literal

from cryptosense.errors import StateUnavailable
from cryptosense.state.contracts import CacheKey, Entry, EntryKind, Lease, Unchanged
from cryptosense.state.glob import Glob
from cryptosense.state.keys import label, part, text
from cryptosense.state.observer import StateObserver
from cryptosense.state.redis.channel import Channel
from cryptosense.state.redis.wakeups import Wakeups
from cryptosense.state.tokens import checked_fence

GENERATION_MS = 86_400_000
"""How long a space's generation is remembered; a lease is shorter, so a forgotten one cannot make a void lease good."""
UNLINKED_AT_ONCE = 500
SUBSCRIBING_S = 0.25
_BLIND_S = 0.05  # the pause before somebody who could not subscribe looks again

_KINDS = {EntryKind.VALUE: b"V", EntryKind.NULL: b"N", EntryKind.NEGATIVE: b"X"}
_KIND_OF = {mark: kind for kind, mark in _KINDS.items()}
_CODING_OF: dict[bytes, Literal["identity", "gzip"]] = {b"i": "identity", b"g": "gzip"}
_MAGIC = b"cs1:"


class RedisCache:
    """Implements `CacheState`."""

    def __init__(self, channel: Channel, prefix: str, *, wakeups: Wakeups, observer: StateObserver) -> None:
        self._channel = channel
        self._prefix = f"{prefix}cache:"
        self._wakeups = wakeups
        self._observer = observer

    async def read(self, key: CacheKey, *, known: str | None = None) -> Entry | Unchanged | None:
        name = self._key("e", key)
        if known is None:
            left_ms, found = await self._channel.read_whole(name)
            return None if found is None else self._parsed(name, found, left_ms)
        reply = await self._channel.run("cache_read", [name], known, reads=True)
        if reply is None:
            return None
        if isinstance(reply, int):
            return Unchanged(reply)
        return self._parsed(name, reply[1], reply[0]) if isinstance(reply, list) else self._unreadable(name)

    async def read_or_lease(
        self, key: CacheKey, *, fence: str, lease_ms: int, tags: Sequence[str] = ()
    ) -> tuple[Entry | None, Lease | None]:
        keys = self._keys(key, tags)
        leased, left_ms, found = await self._channel.run_and_read(
            "cache_lease", keys, checked_fence(fence), lease_ms, part(key.name)
        )
        entry = None if found is None else self._parsed(keys[0], found, left_ms)
        return entry, Lease(key, fence) if leased else None

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
        version = lease.fence.encode()
        header = (_MAGIC, _KINDS[kind], encoding[:1].encode(), bytes([len(version)]), version, stale_ms.to_bytes(6))
        stored = await self._channel.run(
            "cache_store",
            self._keys(lease.key, tags),
            version,
            b"".join((*header, body)),
            fresh_ms + stale_ms,
            part(lease.key.name),
            self._wake(lease.key),
        )
        return lease.fence if stored else None

    async def release(self, lease: Lease) -> None:
        await self._channel.run("cache_release", [self._key("l", lease.key)], lease.fence, self._wake(lease.key))

    async def wait(self, key: CacheKey, *, timeout_ms: int) -> None:
        until = asyncio.get_running_loop().time() + timeout_ms / 1000
        async with self._wakeups.listening(self._wake(key), timeout=min(SUBSCRIBING_S, timeout_ms / 1000)) as ended:
            if ended.is_set():
                await asyncio.sleep(min(_BLIND_S, timeout_ms / 1000))
                return
            # The fetch may have ended before the subscription stood, and a dead fetcher's lease ends without a word.
            try:
                left_ms: int = await self._channel.command("PTTL", self._key("l", key), reads=True)
            except StateUnavailable:
                left_ms = round(_BLIND_S * 1000)
            if left_ms <= 0:
                return
            try:
                async with asyncio.timeout_at(min(until, asyncio.get_running_loop().time() + left_ms / 1000)):
                    await ended.wait()
            except TimeoutError:
                return

    async def invalidate(self, *keys: CacheKey) -> int:
        by_space: dict[str, list[CacheKey]] = {}
        for key in keys:
            by_space.setdefault(key.space, []).append(key)
        dropped = await asyncio.gather(*(self._invalidate_together(together) for together in by_space.values()))
        return sum(dropped)

    async def invalidate_tags(self, space: str, tags: Sequence[str]) -> int:
        if not tags:
            return 0
        stem = self._space(space)
        names = [f"{stem}t:{part(tag)}" for tag in tags]
        channel = f"{self._prefix}wake:{{{part(space)}}}:"
        dropped: int = await self._channel.run("cache_invalidate_tags", names, f"{stem}e:", f"{stem}l:", channel)
        return dropped

    async def invalidate_space(self, space: str, pattern: str = "*") -> int:
        """Voids every lease of the space first: nothing that is being fetched now can land behind the scan."""
        glob, stem = Glob(pattern), self._space(space)
        await self._channel.run("cache_generation", [f"{stem}g"], GENERATION_MS)
        dropped = 0
        async for keys in self._channel.scan(f"{stem}e:{glob.exact_start}*"):
            matching = [key for key in keys if glob.matches(text(key[len(stem) + 2 :]))]
            batches = [matching[at : at + UNLINKED_AT_ONCE] for at in range(0, len(matching), UNLINKED_AT_ONCE)]
            dropped += sum(await asyncio.gather(*(self._channel.unlink(batch) for batch in batches)))
        return dropped

    async def live(self) -> AsyncIterator[str]:
        async for keys in self._channel.scan(f"{self._prefix}{{*}}:e:*"):
            for key in keys:
                space, name = key[len(self._prefix) + 1 :].split("}:e:", 1)
                yield label(text(space), text(name))

    async def _invalidate_together(self, keys: Sequence[CacheKey]) -> int:
        names = [name for key in keys for name in (self._key("e", key), self._key("l", key))]
        dropped: int = await self._channel.run("cache_invalidate", names, *(self._wake(key) for key in keys))
        return dropped

    def _parsed(self, name: str, entry: bytes, left_ms: int) -> Entry | None:
        """The entry, which will be gone in `left_ms` and is fresh until its stale age before that."""
        body = 13 + entry[6] if len(entry) >= 13 else 0
        kind, coding = _KIND_OF.get(entry[4:5]), _CODING_OF.get(entry[5:6])
        if not entry.startswith(_MAGIC) or not body or len(entry) < body or kind is None or coding is None:
            return self._unreadable(name)
        version = entry[7 : body - 6].decode("ascii", "replace")
        return Entry(kind, entry[body:], coding, version, left_ms - int.from_bytes(entry[body - 6 : body]))

    def _unreadable(self, name: str) -> Entry | None:
        """A logged miss."""
        self._observer.event("entry_unreadable", key=name)
        return None

    def _keys(self, key: CacheKey, tags: Sequence[str]) -> list[str]:
        stem, name = self._space(key.space), part(key.name)
        return [f"{stem}e:{name}", f"{stem}l:{name}", f"{stem}g", *(f"{stem}t:{part(tag)}" for tag in tags)]

    def _key(self, kind: str, key: CacheKey) -> str:
        return f"{self._space(key.space)}{kind}:{part(key.name)}"

    def _space(self, space: str) -> str:
        return f"{self._prefix}{{{part(space)}}}:"

    def _wake(self, key: CacheKey) -> str:
        return f"{self._prefix}wake:{{{part(key.space)}}}:{part(key.name)}"
