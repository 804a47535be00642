"""What a check is, and what it is given."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import uuid4

from cryptosense.state.contracts import StateSet

LONG_MS = 60_000
"""A life that no check outlives."""
SHORT_MS = 5
"""A life that is over once `pass_time(PAST_MS)` has returned."""
PAST_MS = 40


@dataclass(frozen=True, slots=True)
class Subject:
    """A backend under test. `pass_time(ms)` returns when so much time, or a little more, has passed for it.

    `exact`: its clock moves by `pass_time` alone.
    """

    state: StateSet
    pass_time: Callable[[int], Awaitable[None]]
    exact: bool


@dataclass(frozen=True, slots=True)
class Check:
    """One promise; its name is the sentence."""

    name: str
    run: Callable[[Subject], Awaitable[None]]
    exact: bool

    async def __call__(self, subject: Subject) -> None:
        """Runs it.

        Raises:
            AssertionError: the backend does not conform.
        """
        await self.run(subject)


@dataclass(slots=True)
class Chapter:
    """Collects the checks of one contract, in the order in which they are written."""

    contract: str
    checks: list[Check] = field(default_factory=list)

    def check(
        self, *, exact: bool = False
    ) -> Callable[[Callable[[Subject], Awaitable[None]]], Callable[[Subject], Awaitable[None]]]:
        """Registers a function as a check."""

        def register(run: Callable[[Subject], Awaitable[None]]) -> Callable[[Subject], Awaitable[None]]:
            self.checks.append(Check(f"{self.contract}: {run.__name__.replace('_', ' ')}", run, exact))
            return run

        return register


def fresh(kind: str) -> str:
    """A name that nobody else uses, with characters that have to be escaped."""
    return f"{kind}:{{*}} é/{uuid4().hex}"


def token() -> str:
    """A token, fence or decision id that was not drawn before."""
    return uuid4().hex[:16]


def expect(condition: object, promise: str) -> None:
    """Asserts, also under `python -O`.

    Raises:
        AssertionError: the condition is false.
    """
    if not condition:
        raise AssertionError(promise)
