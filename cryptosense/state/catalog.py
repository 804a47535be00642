"""The backends, and how each is opened. The only module of this room, beside the contracts, that http imports."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from cryptosense.clock import Clock
from cryptosense.state.contracts import StateSet
from cryptosense.state.memory.cache import MemoryCache
from cryptosense.state.memory.csrf import MemoryCsrf
from cryptosense.state.memory.leaders import MemoryLeaders
from cryptosense.state.memory.sessions import MemorySessions
from cryptosense.state.memory.windows import MemoryWindows


@dataclass(frozen=True, slots=True)
class OpenState:
    """A backend in use.

    `ping()`: whether it answers now; never raises. `wait_ready(seconds)`: waits until it answers, at most so long, and
    says whether it does. `debt()`: live names by service that exist only on the side which a rollback leaves; empty
    where there is no other side. `close()` ends what runs in the background.
    """

    state: StateSet
    ping: Callable[[], Awaitable[bool]]
    wait_ready: Callable[[float], Awaitable[bool]]
    debt: Callable[[], Awaitable[Mapping[str, int]]]
    close: Callable[[], Awaitable[None]]


def open_memory(clock: Clock) -> OpenState:
    """State in this process's memory."""
    state = StateSet(
        csrf=MemoryCsrf(clock),
        windows=MemoryWindows(clock),
        cache=MemoryCache(clock),
        sessions=MemorySessions(clock),
        leaders=MemoryLeaders(clock),
    )
    return OpenState(state, ping=_yes, wait_ready=_yes_at_once, debt=_no_debt, close=_nothing)


async def _yes() -> bool:
    return True


async def _yes_at_once(_seconds: float) -> bool:
    return True


async def _no_debt() -> Mapping[str, int]:
    return {}


async def _nothing() -> None:
    return None
