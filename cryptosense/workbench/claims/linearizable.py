"""Is there an order of operations, true to real time, that a sequential model allows?

The search of Wing and Gong (1993) with the memory of visited configurations of Lowe (2017), as in Porcupine: of the
operations not yet placed, those may come next that were called before every answered one of them had completed. Two
things keep it small: an operation that leaves the model's state as it is can be placed as soon as it is legal (moving
it to the front of any order that works leaves that order working), and a budget of configurations bounds the rest.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from cryptosense.workbench.history import Operation

S = TypeVar("S", bound=Hashable)


class Answer(Enum):
    LEGAL = "legal"
    ILLEGAL = "illegal"
    OVER_BUDGET = "over budget"


@dataclass(frozen=True, slots=True)
class Model(Generic[S]):
    """A sequential object.

    `step(state, operation)` gives every state that the operation may lead to with the answer that it got; none where
    that answer is impossible. `optional(operation)` says that it may never have taken effect.
    """

    initial: S
    step: Callable[[S, Operation], Sequence[S]]
    optional: Callable[[Operation], bool]


def search(model: Model[S], operations: Sequence[Operation], *, budget: int = 50_000) -> Answer:
    """Whether some order explains every answer; `budget` bounds the configurations looked at."""
    ordered = sorted(operations, key=lambda operation: (operation.invoked_at, operation.id))
    everything = (1 << len(ordered)) - 1
    optional = sum(1 << index for index, operation in enumerate(ordered) if model.optional(operation))
    pending = [(everything, model.initial)]
    visited: set[tuple[int, S]] = set()
    while pending:
        remaining, state = _place_what_changes_nothing(model, ordered, *pending.pop(), optional)
        if remaining & ~optional == 0:
            return Answer.LEGAL
        if (remaining, state) in visited:
            continue
        visited.add((remaining, state))
        if len(visited) > budget:
            return Answer.OVER_BUDGET
        for index in reversed(_next(ordered, remaining, optional)):
            useless = state if optional >> index & 1 else None
            pending += [
                (remaining & ~(1 << index), after) for after in model.step(state, ordered[index]) if after != useless
            ]
    return Answer.ILLEGAL


def shortest_illegal_prefix(
    model: Model[S],
    operations: Sequence[Operation],
    *,
    unanswered: Callable[[Operation], Operation],
    budget: int = 50_000,
) -> list[Operation]:
    """The answers, in order of completion, up to the first that no order explains; what was still under way is dropped
    into the prefix through `unanswered`, as an operation without an answer. A prefix of a legal history is legal, so
    the boundary is found by halving. Empty where the history is legal or the budget was not enough.
    """
    answered = sorted(
        (operation for operation in operations if not model.optional(operation)),
        key=lambda operation: (operation.completed_at, operation.id),
    )

    def prefix(length: int) -> list[Operation]:
        inside = {operation.id for operation in answered[:length]}
        end = answered[length - 1].completed_at
        started = [operation for operation in operations if operation.invoked_at <= end]
        return [operation if operation.id in inside else unanswered(operation) for operation in started]

    low, high = 0, len(answered)
    if not answered or search(model, prefix(high), budget=budget) is not Answer.ILLEGAL:
        return []
    while high - low > 1:
        middle = (low + high) // 2
        if search(model, prefix(middle), budget=budget) is Answer.ILLEGAL:
            high = middle
        else:
            low = middle
    return answered[:high]


def _next(ordered: Sequence[Operation], remaining: int, optional: int) -> list[int]:
    """Indices of the operations that may be placed next: called before any remaining answered one had completed."""
    indices = [index for index in range(len(ordered)) if remaining >> index & 1]
    horizon = min((ordered[index].completed_at for index in indices if not optional >> index & 1), default=float("inf"))
    return [index for index in indices if ordered[index].invoked_at <= horizon]


def _place_what_changes_nothing(
    model: Model[S], ordered: Sequence[Operation], remaining: int, state: S, optional: int
) -> tuple[int, S]:
    """Places every answered operation that is legal now and can only leave the state as it is."""
    placed = True
    while placed:
        placed = False
        for index in _next(ordered, remaining, optional):
            if not optional >> index & 1 and tuple(model.step(state, ordered[index])) == (state,):
                remaining &= ~(1 << index)
                placed = True
    return remaining, state
