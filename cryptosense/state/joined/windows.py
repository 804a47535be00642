"""Sliding windows on both sides."""

from collections.abc import AsyncIterator

from cryptosense.state.contracts import Admission, Quota, WindowState
from cryptosense.state.joined.sides import Sides


class JoinedWindows:
    """Implements `WindowState`. An admission is written on both sides; a denial leaves no trace on either."""

    def __init__(self, sides: Sides[WindowState]) -> None:
        self._sides = sides

    async def admit(self, client: str, quota: Quota, decision: str) -> Admission:
        turn = self._sides.turn()
        answer = await turn.counts.admit(client, quota, decision)
        if turn.other is None:
            return answer
        other, asked = turn.other, None
        if answer.admitted:
            asked = await self._sides.also(lambda: other.admit(client, quota, decision))
        elif turn.compares:
            asked = await self._sides.also(lambda: other.peek(client, quota))
        if asked is not None and turn.compares and asked.admitted != answer.admitted:
            self._sides.differs("decision")
        return answer

    async def peek(self, client: str, quota: Quota) -> Admission:
        turn = self._sides.turn()
        answer = await turn.counts.peek(client, quota)
        if turn.other is not None and turn.compares:
            other = turn.other
            asked = await self._sides.also(lambda: other.peek(client, quota))
            if asked is not None and asked.admitted != answer.admitted:
                self._sides.differs("decision")
        return answer

    async def forget(self, client: str) -> None:
        turn = self._sides.turn()
        await turn.counts.forget(client)
        if turn.other is not None:
            other = turn.other
            await self._sides.also(lambda: other.forget(client))

    def live(self) -> AsyncIterator[str]:
        return self._sides.turn().counts.live()
