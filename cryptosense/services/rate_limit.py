"""Admission per client and policy, and what happens while the state cannot decide."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from cryptosense.clock import Clock
from cryptosense.services.breaker import Breaker
from cryptosense.services.insurance import Insurance
from cryptosense.services.policy import Policy
from cryptosense.state.contracts import WindowState


class Source(StrEnum):
    STATE = "state"
    INSURANCE = "insurance"
    UNMETERED = "unmetered"  # policy says admit during an outage


@dataclass(frozen=True, slots=True)
class Decision:
    policy: Policy
    admitted: bool
    limit: int  # in force: the policy's, or the insurance's share
    remaining: int
    reset_s: int  # until quota next increases, rounded up
    source: Source

    @property
    def retry_after(self) -> int | None: ...  # seconds, at least 1, on a denial; equals reset_s then


class RateLimiter:
    counts: Counter[tuple[str, str, str]]  # (policy, "admitted"|"denied"|"refused", source)
    policies: dict[str, Policy]

    def __init__(
        self,
        state: WindowState,
        policies: Iterable[Policy],
        insurance: Insurance,
        breaker: Breaker,
        clock: Clock,
        *,
        instances: int = 1,
        budget_left_ms: Callable[[], float] | None = None,
    ) -> None: ...
    async def decide(self, policy: str, client: str) -> Decision: ...  # StateUnavailable when policy refuses
    async def probe(self) -> None: ...  # one real admission of its own, for Breaker.watch
