"""The two sides of one kind of state, and what it means to make an operation on the other one as well."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cryptosense.errors import StateError
from cryptosense.state.joined.stage import StageSwitch
from cryptosense.state.observer import StateObserver

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Turn(Generic[S]):
    """One operation's view: the side that counts, and the other one where it is to be written or compared."""

    counts: S
    other: S | None
    compares: bool


class Sides(Generic[S]):
    """Memory's and Redis's implementation of one contract, named by `service` in counts and logs."""

    def __init__(self, memory: S, redis: S, switch: StageSwitch, observer: StateObserver, *, service: str) -> None:
        self._memory = memory
        self._redis = redis
        self._switch = switch
        self._observer = observer
        self.service = service

    def turn(self) -> Turn[S]:
        """Reads the stage, once for a whole operation."""
        stage = self._switch.stage
        counts, other = (self._redis, self._memory) if stage.redis_counts else (self._memory, self._redis)
        return Turn(counts, other if stage.writes_both else None, stage.compares)

    async def also(self, making: Callable[[], Awaitable[T]]) -> T | None:
        """Makes a call on the other side; a failure is counted and told, and gives None."""
        _, answer = await self.look(making)
        return answer

    async def look(self, asking: Callable[[], Awaitable[T]]) -> tuple[bool, T | None]:
        """The same, saying whether it succeeded, for answers that may be None themselves."""
        try:
            return True, await asking()
        except StateError as error:
            self._observer.event("other_side_failed", service=self.service, reason=str(error))
            self._observer.difference(self.service, "failed")
            return False, None

    async def compare(self, expected: T | None, reading: Callable[[], Awaitable[T | None]]) -> None:
        """Reads the other side and counts a difference."""
        answered, found = await self.look(reading)
        if answered and found != expected:
            self.differs("missing" if found is None or expected is None else "value")

    def differs(self, kind: str) -> None:
        """Counts a difference between the sides."""
        self._observer.difference(self.service, kind)
