"""The plan's CSRF service: GET, compare, then SET; one token for each name it is given."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from cryptosense.state.contracts import Rotation, RotationOutcome

AWAY_S = 0.002
"""What a server on another machine takes to answer, which the one beside the tests does not."""


class PlanCsrf:
    """A `CsrfState` in two steps: between them anyone may present the same token."""

    def __init__(self, server: Any, prefix: str) -> None:
        self._server = server
        self._prefix = f"{prefix}plan:csrf:"

    async def current(self, session: str, candidate: str, *, ttl_ms: int) -> str:
        held = await self._server.get(self._prefix + session)
        if held is not None:
            return str(held)
        await self._server.set(self._prefix + session, candidate, px=ttl_ms)
        return candidate

    async def compare_and_rotate(
        self, session: str, presented: str, successor: str, *, ttl_ms: int, grace_ms: int
    ) -> Rotation:
        del grace_ms  # the plan has none
        held = await self._server.get(self._prefix + session)
        if held is None:
            return Rotation(RotationOutcome.ABSENT, None)
        if held != presented:
            return Rotation(RotationOutcome.MISMATCH, None)
        await asyncio.sleep(AWAY_S)
        await self._server.set(self._prefix + session, successor, px=ttl_ms)
        return Rotation(RotationOutcome.ROTATED, successor)

    async def replace(self, session: str, successor: str, *, ttl_ms: int) -> None:
        await self._server.set(self._prefix + session, successor, px=ttl_ms)

    async def revoke(self, session: str) -> None:
        await self._server.delete(self._prefix + session)

    async def peek(self, session: str) -> str | None:
        held = await self._server.get(self._prefix + session)
        return None if held is None else str(held)

    async def sweep_orphans(self) -> int:
        return 0

    async def live(self) -> AsyncIterator[str]:
        async for key in self._server.scan_iter(match=f"{self._prefix}*"):
            yield str(key).removeprefix(self._prefix)
