"""The backends, and how each is opened. The only module of this room, beside the contracts, that http imports."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from cryptosense.clock import Clock
from cryptosense.state.contracts import StateSet
from cryptosense.state.keys import DEFAULT_PREFIX, checked_prefix
from cryptosense.state.memory.cache import MemoryCache
from cryptosense.state.memory.csrf import MemoryCsrf
from cryptosense.state.memory.leaders import MemoryLeaders
from cryptosense.state.memory.sessions import MemorySessions
from cryptosense.state.memory.windows import MemoryWindows
from cryptosense.state.observer import SilentObserver, StateObserver
from cryptosense.state.redis.address import RedisAddress
from cryptosense.state.redis.cache import RedisCache
from cryptosense.state.redis.csrf import RedisCsrf
from cryptosense.state.redis.leaders import RedisLeaders
from cryptosense.state.redis.opening import open_channel
from cryptosense.state.redis.sessions import RedisSessions
from cryptosense.state.redis.windows import RedisWindows


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


def open_redis(
    address: RedisAddress,
    *,
    prefix: str = DEFAULT_PREFIX,
    budget_ms: float = 250,
    client_name: str = "cryptosense",
    observer: StateObserver | None = None,
) -> OpenState:
    """State in Redis; needs a running event loop, does not wait for Redis and does not need it to be up.

    `budget_ms` bounds each call that no request's deadline bounds more tightly.

    Raises:
        ConfigurationError: the prefix, or what the address asks for, is not possible.
    """
    checked_prefix(prefix)
    listener = observer or SilentObserver()
    channel, wakeups = open_channel(address, budget_ms=budget_ms, client_name=client_name, observer=listener)
    state = StateSet(
        csrf=RedisCsrf(channel, prefix),
        windows=RedisWindows(channel, prefix),
        cache=RedisCache(channel, prefix, wakeups=wakeups, observer=listener),
        sessions=RedisSessions(channel, prefix),
        leaders=RedisLeaders(channel, prefix),
    )

    async def close() -> None:
        await wakeups.close()
        await channel.close()

    return OpenState(state, ping=channel.ping, wait_ready=channel.wait_ready, debt=_no_debt, close=close)


async def _yes() -> bool:
    return True


async def _yes_at_once(_seconds: float) -> bool:
    return True


async def _no_debt() -> Mapping[str, int]:
    return {}


async def _nothing() -> None:
    return None
