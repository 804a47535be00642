"""Circuit breaker over the state, one per process, shared by the limiter and the cache."""

from collections.abc import Awaitable, Callable

from cryptosense.clock import Clock


class Breaker:
    """`watch` is a background task for the lifespan: heartbeat of the loop, and probes while open."""

    def __init__(
        self,
        clock: Clock,
        *,
        failures: int = 3,
        probe_every_s: float = 0.5,
        on_change: Callable[[bool], None] | None = None,
    ) -> None: ...
    @property
    def is_open(self) -> bool: ...  # degraded
    def allows(self) -> bool: ...
    def succeeded(self) -> None: ...
    def failed(self, started: float) -> None: ...
    async def watch(self, probe: Callable[[], Awaitable[object]]) -> None: ...
