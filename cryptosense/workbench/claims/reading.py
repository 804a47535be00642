"""How checkers read a history: which operations a claim is about, what an answer means, what was declared.

An experiment runs several scenarios at once; each operation carries its scenario's name in `phase`. What a run could
not do it records as an observation `skipped` (labels `phase`, `reason`), and the claims about it are then UNDECIDED
with that reason.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from cryptosense.workbench.claims.claim import Figure, Finding, undecided
from cryptosense.workbench.history import History, Operation, Outcome
from cryptosense.workbench.verdicts import Verdict

CLOCK_SLACK_S = 0.005
"""What the service's millisecond clock and ours may differ by within one window; no conviction hangs on less."""

_LONGEST_PATH = 60

HONEST_CODES = frozenset({"STATE_UNAVAILABLE", "UPSTREAM_UNAVAILABLE"})
"""What a 503 may name as the thing that is missing."""


def select(history: History, *kinds: str, phase: str | None = None, actor: str | None = None) -> list[Operation]:
    """Operations of any of the kinds (each also by prefix), of that phase, whose actor is `actor` or starts with it."""
    found = [operation for kind in kinds for operation in history.operations(kind, phase=phase)]
    if actor is not None:
        found = [operation for operation in found if operation.actor == actor or operation.actor.startswith(actor)]
    unique = {operation.id: operation for operation in found}
    return sorted(unique.values(), key=lambda operation: (operation.invoked_at, operation.id))


def by_actor(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """The operations of each actor, in the order given."""
    groups: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        groups[operation.actor].append(operation)
    return dict(groups)


def admitted(operation: Operation) -> bool:
    """Whether the limiter let it through for certain: it was answered, and neither by 429 nor by a failure."""
    return operation.status is not None and operation.status != 429 and operation.status < 500


def denied(operation: Operation) -> bool:
    return operation.status == 429


def may_be_applied(operation: Operation) -> bool:
    """Whether nobody can say if it took effect: no answer after sending, or a failure reported half-way."""
    return operation.outcome is Outcome.UNKNOWN or (operation.status is not None and operation.status >= 500)


def honest_refusals(history: History) -> Callable[[Operation], bool]:
    """Tells whether an answer is a 503 that names what is missing and says when to come again.

    What the deployment does not send by its own account, codes or `Retry-After`, is not asked of it.
    """
    codes, waits = untold(history, "codes") is None, untold(history, "header retry_after") is None

    def honest(operation: Operation) -> bool:
        named = not codes or operation.got.get("code") in HONEST_CODES
        return operation.status == 503 and named and (not waits or operation.got.get("retry_after") is not None)

    return honest


def declared(history: History, name: str, **labels: str) -> float | None:
    """The figure that the run wrote down before it began (`limit.max`, `limit.window_s`, `csrf.grace_s`, ...)."""
    found = history.observations(name, **labels)
    return found[-1].value if found else None


def skip_reason(history: History, phase: str | None) -> str | None:
    """Why the scenario was not carried out, or None where it was. A phase `x y` belongs to the scenario `x` too."""
    skipped = history.observations("skipped")
    found = [item for item in skipped if item.labels.get("phase") == phase] or [
        item for item in skipped if str(phase).startswith(f"{item.labels.get('phase')} ")
    ]
    return found[0].labels.get("reason", "not carried out") if found else None


def untold(history: History, *topics: str) -> str | None:
    """Why clients of this deployment are not told one of these (`codes`, `outcome`, `header reset`, ...); else None."""
    found = [item for item in history.observations("untold") if item.labels.get("topic") in topics]
    return found[0].labels.get("reason", "the deployment does not tell") if found else None


def nothing_to_judge(history: History, phase: str | None, what: str, *, expected: Figure = None) -> Finding:
    """UNDECIDED, with the reason that the run gave for leaving the scenario out where it gave one."""
    return undecided(skip_reason(history, phase) or f"no {what} was recorded", expected=expected)


def convicted(
    reason: str, evidence: Sequence[Operation], *, expected: Figure, observed: Figure, unit: str, samples: int
) -> Finding:
    """VIOLATED, with the convicting operations in the order of their calls."""
    ordered = sorted(evidence, key=lambda operation: (operation.invoked_at, operation.id))
    return Finding(
        Verdict.VIOLATED, expected, observed, unit, samples, reason, evidence=tuple(item.id for item in ordered)
    )


def acquitted(reason: str, *, expected: Figure, observed: Figure, unit: str, samples: int) -> Finding:
    return Finding(Verdict.HOLDS, expected, observed, unit, samples, reason)


def told(operation: Operation) -> str:
    """An operation in a few words: who sent what to whom, and what came back."""
    answer = "no answer" if operation.status is None else str(operation.status)
    code = operation.got.get("code")
    where = operation.instance.removeprefix("http://").removeprefix("https://")
    method, path = operation.sent.get("method"), str(operation.sent.get("path", ""))
    request = f", {method} {path if len(path) <= _LONGEST_PATH else f'{path[:_LONGEST_PATH]}...'}," if method else ""
    asked = f"#{operation.id} ({operation.kind}{request} by {operation.actor} at {where})"
    return f"{asked} got {answer}{f' {code}' if code else ''}"
