"""Claims about rate limits, judged from what clients saw.

Operations: `limit.probe` (or any kind given), one budget per actor; `sent.policy` names the limit. A request takes
effect at some moment between its call and its answer, so a checker convicts only where no placement is legal.
`Limit` is what the deployment declares; unless given it is read from the history (`limit.max`, `limit.window_s`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.reading import (
    CLOCK_SLACK_S,
    acquitted,
    admitted,
    by_actor,
    convicted,
    declared,
    denied,
    may_be_applied,
    nothing_to_judge,
    select,
    skip_reason,
    told,
)
from cryptosense.workbench.history import History, Operation, SpanKind
from cryptosense.workbench.measures.windows import surely_in_one_window
from cryptosense.workbench.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Limit:
    """`limit` admissions in any window of `window_s` seconds."""

    limit: int
    window_s: float


def declared_limit(history: History, policy: str, phase: str | None) -> Limit | None:
    """What the run wrote down about the policy in that phase."""
    labels = {"policy": policy} if phase is None else {"policy": policy, "phase": phase}
    most, window = declared(history, "limit.max", **labels), declared(history, "limit.window_s", **labels)
    return None if most is None or window is None else Limit(int(most), window)


@dataclass(frozen=True, slots=True)
class Asked:
    """The requests that a claim is about, by budget, and the limit that holds for them."""

    limit: Limit
    budgets: dict[str, list[Operation]]

    @property
    def samples(self) -> int:
        return sum(map(len, self.budgets.values()))


def asked(
    history: History, policy: str, *, phase: str | None, limit: Limit | None, kinds: Sequence[str]
) -> Asked | Finding:
    """The requests against `policy`, or why there is nothing to judge."""
    found = limit or declared_limit(history, policy, phase)
    operations = [
        operation
        for operation in select(history, *kinds, phase=phase)
        if operation.sent.get("policy", policy) == policy
    ]
    if not operations:
        return nothing_to_judge(history, phase, f"request against the limit {policy}")
    if found is None:
        return undecided(f"the limit {policy} is not declared: name its max and window_s in the target profile")
    return Asked(found, by_actor(operations))


def never_above_limit(
    policy: str,
    *,
    phase: str | None = None,
    limit: Limit | None = None,
    kinds: Sequence[str] = ("limit.probe",),
) -> Checker:
    """RATE-1: no window holds more admissions of one client than the limit, on all instances together."""

    def check(history: History) -> Finding:
        found = asked(history, policy, phase=phase, limit=limit, kinds=kinds)
        if isinstance(found, Finding):
            return found
        bound, window = found.limit.limit, found.limit.window_s
        most = max((fullest_window(operations, window) for operations in found.budgets.values()), key=len)
        if len(most) > bound:
            reason = (
                f"{len(most)} requests of {most[0].actor} passed within {window:g} s, where {bound} may, from "
                f"{told(most[0])} to {told(most[-1])}; {_usual_cause(found)}"
            )
            unit = f"admitted in {window:g} s"
            return convicted(
                reason,
                most[: bound + 1],
                expected=bound,
                observed=len(most),
                unit=unit,
                samples=found.samples,
            )
        if not any(map(denied, _all(found))):
            return undecided(
                f"nobody asked for more than the limit: at most {len(most)} of {bound} in a window, and no denial",
                expected=bound,
                samples=found.samples,
            )
        reason = f"no window of {window:g} s certainly holds more than {len(most)} admissions of one client"
        unit = f"admitted in {window:g} s"
        return acquitted(reason, expected=bound, observed=len(most), unit=unit, samples=found.samples)

    return check


def _usual_cause(found: Asked) -> str:
    """What lets too many through, in an owner's words, by what was asked and whether anybody was denied."""
    requests = _all(found)
    if any(request.sent.get("claimed_address") for request in requests):
        return (
            "each request said in X-Forwarded-For and its like that it came from another address, and was believed; "
            "the usual cause is that the leftmost entry is taken, which the client writes, and not the one that the "
            "last trusted proxy appended, or that this address leads past the load balancer that overwrites them: then "
            "close it to clients and name the balancer"
        )
    if not any(map(denied, requests)):
        return (
            "nobody was denied at all; the usual causes are that no limit guards this route, that it fails open, or "
            "that requests which come at once all see the same count"
        )
    return (
        "the usual causes are a count that is read and written in two steps, so that requests which come at once all "
        "see room, a count in each instance's own memory, or the caller's clock"
    )


def fullest_window(operations: Sequence[Operation], window_s: float) -> list[Operation]:
    """The most admissions that lie in one window wherever in its interval each took effect, by the time of call."""
    passed = [operation for operation in operations if admitted(operation)]
    places = surely_in_one_window(
        [operation.invoked_at for operation in passed],
        [operation.completed_at for operation in passed],
        window_s - CLOCK_SLACK_S,
    )
    return sorted((passed[place] for place in places), key=lambda operation: (operation.invoked_at, operation.id))


def never_denied_with_room(
    policy: str,
    *,
    phase: str | None = None,
    limit: Limit | None = None,
    spare_outages: bool = False,
    kinds: Sequence[str] = ("limit.probe",),
) -> Checker:
    """RATE-1, RATE-2: a request is denied only when the limit's worth of admissions may lie in the window before it.

    Requests without an answer may have been admitted. With `spare_outages`, denials that a fault touches (up to one
    window after its cure) are left out: an insurance may be at work there.
    """

    def check(history: History) -> Finding:
        found = asked(history, policy, phase=phase, limit=limit, kinds=kinds)
        if isinstance(found, Finding):
            return found
        bound, window = found.limit.limit, found.limit.window_s
        faults = [(span.started_at, span.ended_at + window) for span in history.spans(SpanKind.FAULT) if spare_outages]
        judged, wrong = 0, list[tuple[int, Operation]]()
        for operations in found.budgets.values():
            counted = [item for item in operations if admitted(item) or may_be_applied(item)]
            for denial in filter(denied, operations):
                if any(denial.completed_at >= start and denial.invoked_at <= end for start, end in faults):
                    continue
                judged += 1
                most = _most_before(denial, counted, window + CLOCK_SLACK_S)
                if most < bound:
                    wrong.append((most, denial))
        if wrong:
            most, denial = min(wrong, key=lambda item: item[0])
            reason = (
                f"{told(denial)} although at most {most} of {bound} requests had passed in the {window:g} s before it; "
                "the usual causes are denied requests that count, a budget shared with somebody else (a spoofed or a "
                "proxy's address, another route group), or a fixed window"
            )
            return convicted(reason, [denial], expected=0, observed=len(wrong), unit="wrong denials", samples=judged)
        if not judged:
            return undecided("nothing was denied, so no denial could be wrong", expected=0, samples=0)
        reason = f"each of {judged} denials came when the window may have been full"
        return acquitted(reason, expected=0, observed=0, unit="wrong denials", samples=judged)

    return check


def overload_gets_full_limit(
    policy: str,
    *,
    phase: str | None = None,
    limit: Limit | None = None,
    share: float = 0.7,
    kinds: Sequence[str] = ("limit.probe",),
) -> Checker:
    """RATE-2: a client that asks steadily above the limit gets at least `share` of the limit in every window.

    Windows follow each other from the client's first request. One counts when it was overloaded evenly: more requests
    than the limit were made in it, and nowhere three times the mean time passed without one, for a slot that frees
    while nobody asks is nobody's. Such a pause can cost three slots of ten at most, hence `share`. Where the machine
    was too busy for two even windows, the claim holds when nobody was denied with room, also after the first window.
    """

    def check(history: History) -> Finding:
        found = asked(history, policy, phase=phase, limit=limit, kinds=kinds)
        if isinstance(found, Finding):
            return found
        bound, window = found.limit.limit, found.limit.window_s
        counts: list[tuple[int, list[Operation]]] = []
        for operations in found.budgets.values():
            counts += _window_counts(operations, window, bound)
        if len(counts) < 2:
            return _by_denials(history, found, policy, phase, kinds)
        least, starved = min(counts, key=lambda item: item[0])
        series = ", ".join(str(count) for count, _ in counts[:8])
        unit, samples = f"admitted in {window:g} s", sum(len(inside) for _, inside in counts)
        if least < share * bound:
            reason = (
                f"a client that kept asking got [{series}] of {bound} in windows that follow each other, although it "
                f"asked {len(starved)} times in the poorest; the usual cause is that denied requests count"
            )
            evidence = [operation for operation in starved if denied(operation)][:1]
            return convicted(reason, evidence, expected=bound, observed=least, unit=unit, samples=samples)
        reason = f"a client that kept asking got [{series}] of {bound} in windows that follow each other"
        return acquitted(reason, expected=bound, observed=least, unit=unit, samples=samples)

    return check


def _most_before(denial: Operation, counted: Sequence[Operation], window: float) -> int:
    """The most of `counted` that can lie in the window before the denial, at the best moment for the service.

    An admission can lie in (t - window, t] when it was called by t and may have taken effect after t - window.
    """
    others = [item for item in counted if item.invoked_at <= denial.completed_at]
    moments = {denial.invoked_at, *(item.invoked_at for item in others if item.invoked_at > denial.invoked_at)}
    return max(
        sum(item.invoked_at <= moment and _latest(item) > moment - window for item in others) for moment in moments
    )


def _latest(operation: Operation) -> float:
    return float("inf") if may_be_applied(operation) else operation.completed_at


def _window_counts(operations: Sequence[Operation], window: float, bound: int) -> list[tuple[int, list[Operation]]]:
    """Per overloaded window: the most admissions that may lie in it, and the requests made in it."""
    first, last = operations[0].invoked_at, max(operation.invoked_at for operation in operations)
    counts = []
    for number in range(int((last - first) / window + 0.1)):
        start, end = first + number * window, first + (number + 1) * window
        inside = [operation for operation in operations if start <= operation.invoked_at < end]
        if len(inside) > bound and _longest_pause(inside, start, end) <= 3 * window / len(inside):
            may = [
                operation
                for operation in operations
                if (admitted(operation) or may_be_applied(operation))
                and operation.invoked_at < end
                and _latest(operation) >= start
            ]
            counts.append((len(may), inside))
    return counts


def _by_denials(history: History, found: Asked, policy: str, phase: str | None, kinds: Sequence[str]) -> Finding:
    """The overload judged without windows: late denials there were, and each came with the window full."""
    limit = found.limit
    late = [
        operation
        for operations in found.budgets.values()
        for operation in filter(denied, operations)
        if operation.invoked_at >= operations[0].invoked_at + 1.2 * limit.window_s
    ]
    denials = never_denied_with_room(policy, phase=phase, limit=limit, kinds=kinds)(history)
    if late and denials.verdict is Verdict.HOLDS:
        reason = f"the load was uneven, but each of {denials.samples} denials came when the window may have been full"
        unit = f"admitted in {limit.window_s:g} s"
        return acquitted(reason, expected=limit.limit, observed="full when denied", unit=unit, samples=denials.samples)
    reason = f"fewer than two whole windows of {limit.window_s:g} s were overloaded by one client"
    return undecided(skip_reason(history, phase) or reason, expected=limit.limit, samples=0)


def _longest_pause(inside: Sequence[Operation], start: float, end: float) -> float:
    moments = [start, *(operation.invoked_at for operation in inside), end]
    return max(later - earlier for earlier, later in pairwise(moments))


def _all(found: Asked) -> list[Operation]:
    return [operation for operations in found.budgets.values() for operation in operations]
