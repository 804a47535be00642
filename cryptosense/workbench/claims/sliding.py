"""The claim that a window slides: that a client gains nothing by coming shortly before a fixed one would end."""

from collections.abc import Sequence

from cryptosense.workbench.claims.admissions import Limit, asked, never_above_limit
from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.reading import CLOCK_SLACK_S, admitted, denied
from cryptosense.workbench.history import History, Operation
from cryptosense.workbench.verdicts import Verdict

_UNIT = "requests that tell the two apart"


def window_slides(policy: str, *, phase: str, limit: Limit | None = None) -> Checker:
    """RATE-1: no window holds more than the limit, one that begins within the window of the first request included.

    Convicts as `never_above_limit` does. It holds only where a window that opens with a client's first request and is
    then begun anew (INCR and EXPIRE) would have shown: the rest of the limit was admitted before that window's end, and
    at least two requests were answered after it, while the rest still counted. One that begins with the clock's minute,
    or at whatever other moment, need not show.
    """
    bound = never_above_limit(policy, phase=phase, limit=limit)

    def check(history: History) -> Finding:
        finding = bound(history)
        found = asked(history, policy, phase=phase, limit=limit, kinds=("limit.probe",))
        if finding.verdict is not Verdict.HOLDS or isinstance(found, Finding):
            return finding
        telling = max(_telling(operations, found.limit) for operations in found.budgets.values())
        if telling < 2:
            reason = (
                f"{telling} requests were answered after the window that a first request opens, and while the rest of "
                "it still counted, where it takes two to see that the window slides; a slow machine misses the moment"
            )
            return undecided(reason, expected=finding.expected, unit=_UNIT, samples=found.samples)
        return finding

    return check


def _telling(operations: Sequence[Operation], limit: Limit) -> int:
    """How many requests a fixed window would have admitted for certain, and a sliding one but for the first."""
    opener, rest = operations[0], [item for item in operations[1:] if admitted(item)][: limit.limit - 1]
    in_time = all(item.completed_at < opener.invoked_at + limit.window_s - CLOCK_SLACK_S for item in rest)
    if limit.limit < 2 or len(rest) < limit.limit - 1 or not admitted(opener) or not in_time:
        return 0
    renewed_at = opener.completed_at + limit.window_s + CLOCK_SLACK_S
    counted_until = min(item.invoked_at for item in rest) + limit.window_s - CLOCK_SLACK_S
    behind = [item for item in operations if item.invoked_at > renewed_at and item.completed_at < counted_until]
    return sum(admitted(item) or denied(item) for item in behind)
