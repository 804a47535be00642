"""What a rollback would lose: the live names that exist only on the side which it leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from cryptosense.state.contracts import StateSet

_SLICE = 1000


@dataclass(frozen=True, slots=True)
class _Kind:
    live: Callable[[StateSet], AsyncIterator[str]]


_KINDS: Mapping[str, _Kind] = {
    "csrf": _Kind(lambda state: state.csrf.live()),
    "rate_limit": _Kind(lambda state: state.windows.live()),
    "sessions": _Kind(lambda state: state.sessions.live()),
}


async def debt(leaving: StateSet, going_to: StateSet) -> Mapping[str, int]:
    """Live names by service that `leaving` has and `going_to` has not.

    The cache is left out: it loses nothing that cannot be fetched again. Reads the names of both sides, so it is for a
    gauge that is asked now and then, not for requests.

    Raises:
        StateUnavailable: one of the sides cannot be read.
    """
    return {service: await _only_on(kind, leaving, going_to) for service, kind in _KINDS.items()}


async def _only_on(kind: _Kind, leaving: StateSet, going_to: StateSet) -> int:
    there = {name async for name in kind.live(going_to)}
    missing: set[str] = set()
    seen = 0
    async for name in kind.live(leaving):
        seen += 1
        if name not in there:
            missing.add(name)
        if seen % _SLICE == 0:
            await asyncio.sleep(0)  # a long walk lets requests through
    return len(missing)
