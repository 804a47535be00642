"""The backends, and how each is opened. The only module of this room, beside the contracts, that http imports."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from cryptosense.clock import Clock
from cryptosense.state.contracts import StateSet
from cryptosense.state.joined.cache import JoinedCache
from cryptosense.state.joined.csrf import JoinedCsrf
from cryptosense.state.joined.debt import debt
from cryptosense.state.joined.leaders import JoinedLeaders
from cryptosense.state.joined.sessions import JoinedSessions
from cryptosense.state.joined.sides import Sides
from cryptosense.state.joined.stage import Stage, StageSwitch
from cryptosense.state.joined.windows import JoinedWindows
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

__all__ = [
    "OpenState",
    "RedisAddress",
    "Stage",
    "StageSwitch",
    "StateObserver",
    "open_joined",
    "open_memory",
    "open_redis",
]


@dataclass(frozen=True, slots=True)
class OpenState:
    """A backend in use.

    `ping()`: whether it answers now; never raises. `wait_ready(seconds)`: waits until it answers, at most so long, and
    says whether it does. `debt()`: live names by service (`csrf`, `rate_limit`, `sessions`) that exist in Redis only,
    which a rollback to memory would lose; empty where there is no other side, `StateUnavailable` while Redis is away.
    `close()` ends what runs in the background.
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


def open_joined(
    memory: OpenState, redis: OpenState, switch: StageSwitch, observer: StateObserver | None = None
) -> OpenState:
    """Both, joined by the stage that `switch` holds; closing it closes both.

    It is ready, and answers a ping, when the sides do whose answers count at the present stage.
    """
    told = observer or SilentObserver()
    left, right = memory.state, redis.state
    state = StateSet(
        csrf=JoinedCsrf(Sides(left.csrf, right.csrf, switch, told, service="csrf")),
        windows=JoinedWindows(Sides(left.windows, right.windows, switch, told, service="rate_limit")),
        cache=JoinedCache(Sides(left.cache, right.cache, switch, told, service="cache")),
        sessions=JoinedSessions(Sides(left.sessions, right.sessions, switch, told, service="sessions")),
        leaders=JoinedLeaders(Sides(left.leaders, right.leaders, switch, told, service="leaders")),
    )

    def counting() -> OpenState:
        return redis if switch.stage.redis_counts else memory

    async def close() -> None:
        await redis.close()
        await memory.close()

    return OpenState(
        state,
        ping=lambda: counting().ping(),
        wait_ready=lambda seconds: counting().wait_ready(seconds),
        debt=lambda: debt(leaving=right, going_to=left),
        close=close,
    )


async def _yes() -> bool:
    return True


async def _yes_at_once(_seconds: float) -> bool:
    return True


async def _no_debt() -> Mapping[str, int]:
    return {}


async def _nothing() -> None:
    return None
