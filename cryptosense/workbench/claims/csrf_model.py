"""One session's CSRF token as a sequential object: compare, rotate, a grace for what was replaced.

The state is the current token and the tokens replaced since the last explicit rotation, each with the interval in
which its replacement took effect. A token that nobody has seen yet (the session's first, or the successor of a post
whose answer was lost) is a placeholder that the next answer may turn into any token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from cryptosense.workbench.claims.linearizable import Model
from cryptosense.workbench.claims.reading import CLOCK_SLACK_S, may_be_applied
from cryptosense.workbench.history import Operation, Outcome

UNSEEN = "unseen:"


class Guard(Enum):
    """What the CSRF guard said to a request, as far as the answer shows."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_ASKED = "not asked"  # an earlier guard answered: size, origin, bearer, limiter
    UNKNOWN = "unknown"


def guard_of(operation: Operation) -> Guard:
    """Reads the guard's answer off a protected request: what passed it may still end in a 400, 404 or 422."""
    if may_be_applied(operation):
        return Guard.UNKNOWN
    if operation.status is None:
        return Guard.NOT_ASKED
    if operation.status == 403:
        return Guard.NOT_ASKED if operation.got.get("code") == "CROSS_SITE_REQUEST" else Guard.REFUSED
    return Guard.NOT_ASKED if operation.status in {401, 405, 413, 429} else Guard.ACCEPTED


@dataclass(frozen=True, slots=True)
class Replaced:
    """A token that was current until some moment between `earliest` and `latest`."""

    token: str
    earliest: float
    latest: float


@dataclass(frozen=True, slots=True)
class TokenState:
    current: str
    replaced: tuple[Replaced, ...] = ()

    @property
    def unseen(self) -> bool:
        return self.current.startswith(UNSEEN)

    def rotated(self, presented: str, successor: str, operation: Operation) -> "TokenState":
        latest = float("inf") if may_be_applied(operation) else operation.completed_at
        return TokenState(successor, (*self.replaced, Replaced(presented, operation.invoked_at, latest)))


@dataclass(frozen=True, slots=True)
class CsrfRules:
    """`grace_s` 0 is strict. `remembered` is how many replaced tokens a service must keep for the grace."""

    grace_s: float
    remembered: int = 8

    def grace_possible(self, gone: Replaced, operation: Operation) -> bool:
        return self.grace_s > 0 and operation.invoked_at - gone.latest <= self.grace_s + CLOCK_SLACK_S

    def lapse_possible(self, state: TokenState, gone: Replaced, operation: Operation) -> bool:
        younger = len(state.replaced) - 1 - state.replaced.index(gone)
        return younger >= self.remembered or operation.completed_at - gone.earliest >= self.grace_s - CLOCK_SLACK_S


def csrf_model(rules: CsrfRules) -> Model[TokenState]:
    """The object behind `csrf.fetch`, `csrf.post` (any protected request) and `csrf.rotate` (which ends the grace)."""

    def step(state: TokenState, operation: Operation) -> Sequence[TokenState]:
        if operation.kind == "csrf.fetch":
            return _fetched(state, operation)
        after = _posted(rules, state, operation)
        passed = guard_of(operation) in {Guard.ACCEPTED, Guard.UNKNOWN}
        if operation.kind == "csrf.rotate" and passed and after:
            ended = TokenState(_delivered(operation))
            return (ended,) if guard_of(operation) is Guard.ACCEPTED else (ended, *after)
        return after

    return Model(TokenState(f"{UNSEEN}first"), step, lambda operation: guard_of(operation) is Guard.UNKNOWN)


def without_answer(operation: Operation) -> Operation:
    """The operation as it was known before its answer came."""
    return replace(operation, outcome=Outcome.UNKNOWN, status=None, got={})


def _delivered(operation: Operation) -> str:
    """The successor in the answer; where it is missing, a token that nobody has seen."""
    delivered = operation.got.get("successor")
    return f"{UNSEEN}{operation.id}" if delivered is None else str(delivered)


def _fetched(state: TokenState, operation: Operation) -> Sequence[TokenState]:
    token = operation.got.get("token")
    if token is None or token == state.current:
        return (state,)
    if state.unseen and all(gone.token != token for gone in state.replaced):
        return (replace(state, current=str(token)),)
    return ()


def _posted(rules: CsrfRules, state: TokenState, operation: Operation) -> Sequence[TokenState]:
    guard, presented = guard_of(operation), operation.sent.get("token")
    if guard is Guard.NOT_ASKED:
        return (state,)
    if presented is None:
        return () if guard is Guard.ACCEPTED else (state,)
    gone = next((item for item in reversed(state.replaced) if item.token == presented), None)
    if guard is Guard.REFUSED:
        return _refused(rules, state, operation, str(presented), gone)
    return _accepted(rules, state, operation, str(presented), gone)


def _refused(
    rules: CsrfRules, state: TokenState, operation: Operation, presented: str, gone: Replaced | None
) -> Sequence[TokenState]:
    if presented == state.current or (gone is not None and not rules.lapse_possible(state, gone, operation)):
        return ()
    return (state,)


def _accepted(
    rules: CsrfRules, state: TokenState, operation: Operation, presented: str, gone: Replaced | None
) -> Sequence[TokenState]:
    """An unanswered request that took effect, and an answer that forgot the successor, leave an unseen token."""
    delivered = operation.got.get("successor")
    successor = _delivered(operation)
    if gone is not None:
        if not rules.grace_possible(gone, operation):
            return ()
        if delivered is None or delivered == state.current:
            return (state,)
        return (replace(state, current=successor),) if state.unseen else ()
    if (presented != state.current and not state.unseen) or successor == presented:
        return ()
    rotated = state.rotated(presented, successor, operation)
    tolerated = delivered is None and operation.status is not None and operation.status >= 400
    return (rotated, state) if tolerated else (rotated,)
