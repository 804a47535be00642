"""Leads on both sides."""

from cryptosense.state.contracts import LeaderState
from cryptosense.state.joined.sides import Sides


class JoinedLeaders:
    """Implements `LeaderState`. Memory's lead binds one instance only, so the other side's answer is never compared."""

    def __init__(self, sides: Sides[LeaderState]) -> None:
        self._sides = sides

    async def lead(self, task: str, holder: str, *, ttl_ms: int) -> bool:
        turn = self._sides.turn()
        leads = await turn.counts.lead(task, holder, ttl_ms=ttl_ms)
        if turn.other is not None and leads:
            other = turn.other
            await self._sides.also(lambda: other.lead(task, holder, ttl_ms=ttl_ms))
        return leads

    async def resign(self, task: str, holder: str) -> None:
        turn = self._sides.turn()
        await turn.counts.resign(task, holder)
        if turn.other is not None:
            other = turn.other
            await self._sides.also(lambda: other.resign(task, holder))
