"""The cache on both sides. A lease is taken on both with one fence, so what is fetched can be stored on both."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal

from cryptosense.state.contracts import CacheKey, CacheState, Entry, EntryKind, Lease, Unchanged
from cryptosense.state.joined.sides import Sides


class JoinedCache:
    """Implements `CacheState`."""

    def __init__(self, sides: Sides[CacheState]) -> None:
        self._sides = sides

    async def read(self, key: CacheKey, *, known: str | None = None) -> Entry | Unchanged | None:
        turn = self._sides.turn()
        found = await turn.counts.read(key, known=known)
        if turn.other is not None and turn.compares:
            version = known if isinstance(found, Unchanged) else found.version if found else None
            await self._compare(turn.other, key, version)
        return found

    async def read_or_lease(
        self, key: CacheKey, *, fence: str, lease_ms: int, tags: Sequence[str] = ()
    ) -> tuple[Entry | None, Lease | None]:
        turn = self._sides.turn()
        found, lease = await turn.counts.read_or_lease(key, fence=fence, lease_ms=lease_ms, tags=tags)
        if turn.other is None:
            return found, lease
        other = turn.other
        if turn.compares:
            await self._compare(other, key, found.version if found else None)
        if lease is not None:
            await self._sides.also(lambda: other.read_or_lease(key, fence=fence, lease_ms=lease_ms, tags=tags))
        return found, lease

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
        """On the other side the lease may be missing (taken before a flip, or held there by another): a difference."""
        turn = self._sides.turn()

        async def store(side: CacheState) -> str | None:
            return await side.store(
                lease, kind, body, encoding=encoding, fresh_ms=fresh_ms, stale_ms=stale_ms, tags=tags
            )

        version = await store(turn.counts)
        if turn.other is None:
            return version
        other = turn.other
        if version is None:
            await self._sides.also(lambda: other.release(lease))
            return None
        answered, mirrored = await self._sides.look(lambda: store(other))
        if answered and mirrored is None and turn.compares:
            self._sides.differs("lease")
        return version

    async def release(self, lease: Lease) -> None:
        turn = self._sides.turn()
        await turn.counts.release(lease)
        if turn.other is not None:
            other = turn.other
            await self._sides.also(lambda: other.release(lease))

    async def wait(self, key: CacheKey, *, timeout_ms: int) -> None:
        await self._sides.turn().counts.wait(key, timeout_ms=timeout_ms)

    async def invalidate(self, *keys: CacheKey) -> int:
        turn = self._sides.turn()
        dropped = await turn.counts.invalidate(*keys)
        if turn.other is not None:
            other = turn.other
            await self._sides.also(lambda: other.invalidate(*keys))
        return dropped

    async def invalidate_tags(self, space: str, tags: Sequence[str]) -> int:
        turn = self._sides.turn()
        dropped = await turn.counts.invalidate_tags(space, tags)
        if turn.other is not None:
            other = turn.other
            await self._sides.also(lambda: other.invalidate_tags(space, tags))
        return dropped

    async def invalidate_space(self, space: str, pattern: str = "*") -> int:
        turn = self._sides.turn()
        dropped = await turn.counts.invalidate_space(space, pattern)
        if turn.other is not None:
            other = turn.other
            await self._sides.also(lambda: other.invalidate_space(space, pattern))
        return dropped

    def live(self) -> AsyncIterator[str]:
        return self._sides.turn().counts.live()

    async def _compare(self, other: CacheState, key: CacheKey, version: str | None) -> None:
        """Versions are compared, not bodies: they name one very write, and the fence gives both sides the same one."""

        async def read() -> str | None:
            found = await other.read(key, known=version)
            return version if isinstance(found, Unchanged) else found.version if found else None

        await self._sides.compare(version, read)
