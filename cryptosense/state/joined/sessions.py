"""Sessions on both sides."""

from collections.abc import AsyncIterator

from cryptosense.state.contracts import RefreshOutcome, SessionRecord, SessionState
from cryptosense.state.joined.sides import Sides


class JoinedSessions:
    """Implements `SessionState`."""

    def __init__(self, sides: Sides[SessionState]) -> None:
        self._sides = sides

    async def open(self, record: SessionRecord, *, ttl_ms: int) -> None:
        turn = self._sides.turn()
        await turn.counts.open(record, ttl_ms=ttl_ms)
        if turn.other is not None:
            other = turn.other
            await self._sides.also(lambda: other.open(record, ttl_ms=ttl_ms))

    async def find(self, user: str, session: str) -> SessionRecord | None:
        turn = self._sides.turn()
        record = await turn.counts.find(user, session)
        if turn.other is not None and turn.compares:
            other = turn.other
            await self._sides.compare(record, lambda: other.find(user, session))
        return record

    async def rotate_refresh(
        self, user: str, session: str, presented_digest: str, successor_digest: str, *, ttl_ms: int
    ) -> RefreshOutcome:
        """The other side gets the rotated session as it stands: asked to rotate itself, a side that had missed a
        rotation would take the good token for a stolen one and end the session.
        """
        turn = self._sides.turn()
        outcome = await turn.counts.rotate_refresh(user, session, presented_digest, successor_digest, ttl_ms=ttl_ms)
        if turn.other is None:
            return outcome
        counts, other = turn.counts, turn.other
        if turn.compares:
            await self._compare(other, SessionRecord(user, session, presented_digest, 0), outcome)
        if outcome is RefreshOutcome.ROTATED:
            rotated = await self._sides.also(lambda: counts.find(user, session))
            if rotated is not None:
                await self._sides.also(lambda: other.open(rotated, ttl_ms=ttl_ms))
        elif outcome is RefreshOutcome.REUSED:
            await self._sides.also(lambda: other.close(user, session))
        return outcome

    async def _compare(self, other: SessionState, presented: SessionRecord, outcome: RefreshOutcome) -> None:
        """Whether the other side, which is only read, would have come to the same outcome."""
        answered, held = await self._sides.look(lambda: other.find(presented.user, presented.session))
        if not answered:
            return
        if (held is None) != (outcome is RefreshOutcome.ABSENT):
            self._sides.differs("missing")
        elif held is not None:
            would_rotate = held.refresh_digest == presented.refresh_digest
            if would_rotate != (outcome is RefreshOutcome.ROTATED):
                self._sides.differs("decision")

    async def close(self, user: str, session: str) -> bool:
        turn = self._sides.turn()
        ended = await turn.counts.close(user, session)
        if turn.other is not None:
            other = turn.other
            await self._sides.also(lambda: other.close(user, session))
        return ended

    async def close_all(self, user: str, *, keep: str | None = None) -> int:
        turn = self._sides.turn()
        ended = await turn.counts.close_all(user, keep=keep)
        if turn.other is not None:
            other = turn.other
            await self._sides.also(lambda: other.close_all(user, keep=keep))
        return ended

    def live(self) -> AsyncIterator[str]:
        return self._sides.turn().counts.live()
