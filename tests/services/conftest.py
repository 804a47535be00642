"""State in memory under a clock that the test moves, and a wrapper that lets it fail as Redis does."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from cryptosense.clock import ManualClock
from cryptosense.errors import StateError
from cryptosense.services.breaker import Breaker
from cryptosense.services.cache import Cache
from cryptosense.services.database import Database
from cryptosense.services.insurance import Insurance
from cryptosense.services.passwords import Passwords
from cryptosense.services.policy import Policy
from cryptosense.services.rate_limit import RateLimiter
from cryptosense.services.sessions import Sessions
from cryptosense.state.catalog import open_memory
from cryptosense.state.contracts import StateSet
from tests.services.caching import Upstream


class Wire:
    """Between a service and a state: counts calls, and fails them before or after they are applied.

    `down` fails every call without applying it; `lost` applies the next calls, as many as it holds, and raises instead
    of answering; `before` runs ahead of every call.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.calls: Counter[str] = Counter()
        self.arguments: list[tuple[str, tuple[Any, ...]]] = []
        self.down: StateError | None = None
        self.lost: list[StateError] = []
        self.before: Callable[[str], Any] | None = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            self.calls[name] += 1
            self.arguments.append((name, arguments))
            if self.before is not None:
                await self.before(name)
            if self.down is not None:
                raise self.down
            answer = await method(*arguments, **named)
            if self.lost:
                raise self.lost.pop(0)
            return answer

        return call


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def state(clock: ManualClock) -> StateSet:
    return open_memory(clock).state


@pytest.fixture
def windows(state: StateSet) -> Wire:
    return Wire(state.windows)


@pytest.fixture
def breaker(clock: ManualClock) -> Breaker:
    return Breaker(clock)


LimiterFactory = Callable[..., RateLimiter]


@pytest.fixture
def limiter(windows: Wire, breaker: Breaker, clock: ManualClock) -> LimiterFactory:
    def build(*policies: Policy, **more: Any) -> RateLimiter:
        return RateLimiter(windows, policies, Insurance(clock), breaker, clock, **more)

    return build


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'service.db'}")
    await database.migrate()
    yield database
    await database.aclose()


@pytest.fixture
def passwords() -> Any:
    passwords = Passwords(time_cost=1, memory_kib=8)
    yield passwords
    passwords.close()


@pytest.fixture
def sessions(state: StateSet, clock: ManualClock) -> Sessions:
    return Sessions(state.sessions, secret="a secret for tests", clock=clock)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def wire(state: StateSet) -> Wire:
    return Wire(state.cache)


@pytest.fixture
async def build(wire: Wire, clock: ManualClock) -> AsyncIterator[Callable[..., Cache]]:
    built: list[Cache] = []

    def build_one(**more: Any) -> Cache:
        built.append(Cache(wire, clock, **more))
        return built[-1]

    yield build_one
    for cache in built:
        await cache.aclose()


@pytest.fixture
def cache(build: Callable[..., Cache]) -> Cache:
    return build()


@pytest.fixture
def other(build: Callable[..., Cache]) -> Cache:
    """Another instance on the same state."""
    return build()
