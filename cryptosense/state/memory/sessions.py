"""Sessions in process memory."""

import hmac
from collections.abc import AsyncIterator
from dataclasses import replace

from cryptosense.clock import Clock
from cryptosense.state.contracts import RefreshOutcome, SessionRecord
from cryptosense.state.keys import label
from cryptosense.state.memory.shelf import Shelf


class MemorySessions:
    """Implements `SessionState`."""

    def __init__(self, clock: Clock) -> None:
        self._records: Shelf[SessionRecord] = Shelf(clock)
        self._by_user: dict[str, set[str]] = {}
        self._swept_at = 0

    async def open(self, record: SessionRecord, *, ttl_ms: int) -> None:
        name = label(record.user, record.session)
        self._records.put(name, record, ttl_ms=ttl_ms)
        self._by_user.setdefault(record.user, set()).add(record.session)
        self._sweep_index()

    async def find(self, user: str, session: str) -> SessionRecord | None:
        return self._records.get(label(user, session))

    async def rotate_refresh(
        self, user: str, session: str, presented_digest: str, successor_digest: str, *, ttl_ms: int
    ) -> RefreshOutcome:
        record = self._records.get(label(user, session))
        if record is None:
            return RefreshOutcome.ABSENT
        if not hmac.compare_digest(record.refresh_digest.encode(), presented_digest.encode()):
            await self.close(user, session)
            return RefreshOutcome.REUSED
        await self.open(replace(record, refresh_digest=successor_digest), ttl_ms=ttl_ms)
        return RefreshOutcome.ROTATED

    async def close(self, user: str, session: str) -> bool:
        sessions = self._by_user.get(user, set())
        sessions.discard(session)
        if not sessions:
            self._by_user.pop(user, None)
        return self._records.remove(label(user, session)) is not None

    async def close_all(self, user: str, *, keep: str | None = None) -> int:
        ended = [session for session in self._by_user.get(user, set()) if session != keep]
        return sum([await self.close(user, session) for session in ended])

    async def live(self) -> AsyncIterator[str]:
        for name in self._records.names():
            yield name

    def _sweep_index(self) -> None:
        """Drops the index of expired sessions whenever it has grown to twice the number of live ones."""
        self._swept_at += 1
        if self._swept_at <= 2 * len(self._records):
            return
        self._swept_at = 0
        live = set(self._records.names())
        for user, sessions in list(self._by_user.items()):
            sessions.intersection_update([session for session in sessions if label(user, session) in live])
            if not sessions:
                del self._by_user[user]
