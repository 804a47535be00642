"""CSRF tokens on both sides."""

from collections.abc import AsyncIterator

from cryptosense.state.contracts import CsrfState, Rotation, RotationOutcome
from cryptosense.state.joined.sides import Sides, Turn


class JoinedCsrf:
    """Implements `CsrfState`."""

    def __init__(self, sides: Sides[CsrfState]) -> None:
        self._sides = sides

    async def current(self, session: str, candidate: str, *, ttl_ms: int) -> str:
        """A token that was made just now is a write, and goes to both; one that was there is a read."""
        turn = self._sides.turn()
        token = await turn.counts.current(session, candidate, ttl_ms=ttl_ms)
        if turn.other is None:
            return token
        other = turn.other
        if token == candidate:
            await self._sides.also(lambda: other.replace(session, token, ttl_ms=ttl_ms))
        elif turn.compares:
            await self._sides.compare(token, lambda: other.peek(session))
        return token

    async def peek(self, session: str) -> str | None:
        turn = self._sides.turn()
        token = await turn.counts.peek(session)
        if turn.other is not None and turn.compares:
            other = turn.other
            await self._sides.compare(token, lambda: other.peek(session))
        return token

    async def compare_and_rotate(
        self, session: str, presented: str, successor: str, *, ttl_ms: int, grace_ms: int
    ) -> Rotation:
        """A rotation is made on the other side too, and forced there where that side did not know the token."""
        turn = self._sides.turn()
        answer = await turn.counts.compare_and_rotate(session, presented, successor, ttl_ms=ttl_ms, grace_ms=grace_ms)
        if turn.other is None:
            return answer
        if answer.outcome is RotationOutcome.ROTATED:
            await self._rotate(turn, session, presented, successor, ttl_ms=ttl_ms, grace_ms=grace_ms)
        elif turn.compares:
            other, accepted = turn.other, answer.token
            if answer.outcome is RotationOutcome.MISMATCH:
                await self._compare_refusal(other, session, presented)
            else:
                await self._sides.compare(accepted, lambda: other.peek(session))
        return answer

    async def replace(self, session: str, successor: str, *, ttl_ms: int) -> None:
        turn = self._sides.turn()
        await turn.counts.replace(session, successor, ttl_ms=ttl_ms)
        if turn.other is not None:
            other = turn.other
            await self._sides.also(lambda: other.replace(session, successor, ttl_ms=ttl_ms))

    async def revoke(self, session: str) -> None:
        turn = self._sides.turn()
        await turn.counts.revoke(session)
        if turn.other is not None:
            other = turn.other
            await self._sides.also(lambda: other.revoke(session))

    async def sweep_orphans(self) -> int:
        turn = self._sides.turn()
        removed = await turn.counts.sweep_orphans()
        if turn.other is not None:
            await self._sides.also(turn.other.sweep_orphans)
        return removed

    def live(self) -> AsyncIterator[str]:
        return self._sides.turn().counts.live()

    async def _rotate(
        self, turn: Turn[CsrfState], session: str, presented: str, successor: str, *, ttl_ms: int, grace_ms: int
    ) -> None:
        other = turn.other
        assert other is not None, "only called where there is another side"  # noqa: S101 - narrows the type
        mirrored = await self._sides.also(
            lambda: other.compare_and_rotate(session, presented, successor, ttl_ms=ttl_ms, grace_ms=grace_ms)
        )
        if mirrored is None or mirrored.outcome is RotationOutcome.ROTATED:
            return
        if turn.compares:
            self._sides.differs("missing" if mirrored.outcome is RotationOutcome.ABSENT else "decision")
        await self._sides.also(lambda: other.replace(session, successor, ttl_ms=ttl_ms))

    async def _compare_refusal(self, other: CsrfState, session: str, presented: str) -> None:
        answered, token = await self._sides.look(lambda: other.peek(session))
        if answered and token in (None, presented):
            self._sides.differs("missing" if token is None else "decision")
