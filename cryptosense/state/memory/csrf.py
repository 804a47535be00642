"""CSRF tokens in process memory."""

import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass

from cryptosense.clock import Clock
from cryptosense.state.contracts import Rotation, RotationOutcome
from cryptosense.state.keys import known_as
from cryptosense.state.memory.shelf import Shelf
from cryptosense.state.tokens import KEPT_REPLACED, checked_token


@dataclass(frozen=True, slots=True)
class _Held:
    """The current token, and the replaced ones with the µs at which each was replaced, newest first."""

    current: str
    replaced: tuple[tuple[str, int], ...] = ()


class MemoryCsrf:
    """Implements `CsrfState`."""

    def __init__(self, clock: Clock) -> None:
        self._held: Shelf[_Held] = Shelf(clock)

    async def current(self, session: str, candidate: str, *, ttl_ms: int) -> str:
        held = self._held.get(session) or _Held(checked_token(candidate))
        self._held.put(session, held, ttl_ms=ttl_ms)
        return held.current

    async def peek(self, session: str) -> str | None:
        held = self._held.get(session)
        return held.current if held else None

    async def compare_and_rotate(
        self, session: str, presented: str, successor: str, *, ttl_ms: int, grace_ms: int
    ) -> Rotation:
        checked_token(successor)
        held = self._held.get(session)
        if held is None:
            return Rotation(RotationOutcome.ABSENT, None)
        now = self._held.now()
        within = tuple((token, at) for token, at in held.replaced if now - at < grace_ms * 1000)
        if _equal(held.current, presented):
            replaced = ((held.current, now), *within)[:KEPT_REPLACED] if grace_ms > 0 else ()
            self._held.put(session, _Held(successor, replaced), ttl_ms=ttl_ms)
            return Rotation(RotationOutcome.ROTATED, successor)
        if any(_equal(token, presented) for token, _ in within):
            return Rotation(RotationOutcome.GRACE, held.current)
        return Rotation(RotationOutcome.MISMATCH, None)

    async def replace(self, session: str, successor: str, *, ttl_ms: int) -> None:
        self._held.put(session, _Held(checked_token(successor)), ttl_ms=ttl_ms)

    async def revoke(self, session: str) -> None:
        self._held.remove(session)

    async def sweep_orphans(self) -> int:
        """Nothing can lie here without an expiry."""
        return 0

    async def live(self) -> AsyncIterator[str]:
        for session in self._held.names():
            yield known_as(session)


def _equal(left: str, right: str) -> bool:
    """In constant time; `presented` may hold anything, lone surrogates included."""
    return hmac.compare_digest(left.encode(), right.encode("utf-8", "surrogatepass"))
