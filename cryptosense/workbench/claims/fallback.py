"""Checkers of what covers for the store while it is away: that it is told, bounded, and over when the store is back.

`ready.degraded` (1 or 0, labels `phase` and `instance`) is what an instance's readiness said of itself; where it gave
no answer the reading is 1 and carries `answered` "no". The fault's span is told in `recovery`.
"""

from collections.abc import Sequence

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.latency import GROSS
from cryptosense.workbench.claims.lost_writes import account_of_writes
from cryptosense.workbench.claims.noise import unless_noisy
from cryptosense.workbench.claims.reading import (
    CLOCK_SLACK_S,
    acquitted,
    admitted,
    convicted,
    denied,
    nothing_to_judge,
    select,
    skip_reason,
    untold,
)
from cryptosense.workbench.claims.recovery import fault_of, store_back_at
from cryptosense.workbench.history import History, Observation, Operation, Span
from cryptosense.workbench.measures import surely_in_one_window
from cryptosense.workbench.verdicts import Verdict

_OURS_AGAIN_S = 2.0
"""CONN-2: so long after the store answers, decisions are its own again."""


def fallback_is_told(*, phase: str, notice_s: float = 0.75) -> Checker:
    """RATE-7: while the store is away, the readiness of every instance says that a fallback decides.

    An instance is judged when it told its readiness later than `notice_s` after the store had gone and before it was
    back; it is convicted when it had not said so by then.
    """

    def check(history: History) -> Finding:
        fault = fault_of(history, phase)
        readings = history.observations("ready.degraded", phase=phase)
        if fault is None or not readings:
            return _silent(history, phase, "readiness in an outage", expected=0)
        back = store_back_at(history, phase, fault)
        if back is None or back <= fault.started_at:
            return undecided("the store was not found away and back again, so no fallback had to decide", expected=0)
        away = [item for item in readings if fault.started_at <= item.at <= back and _answered(item)]
        asked = {_instance(item) for item in away if item.at >= fault.started_at + notice_s}
        silent = sorted(asked - {_instance(item) for item in away if item.value})
        if not asked:
            return undecided(f"no instance told its readiness once the store had been away for {notice_s:g} s")
        if silent and fault.labels.get("cured_by") == "hook":
            return undecided("this deployment's readiness never says that a fallback decides, nor need it", expected=0)
        lasted = f"the store was away for {back - fault.started_at:.1f} s"
        finding = Finding(
            Verdict.VIOLATED if silent else Verdict.HOLDS,
            0,
            len(silent),
            "silent instances",
            len(asked),
            f"{lasted}, and {len(silent)} of {len(asked)} instances never said that a fallback decides ({silent[0]})"
            if silent
            else f"{lasted}, and each of {len(asked)} instances said that a fallback decides",
        )
        return unless_noisy(finding, history, fault.started_at, back)

    return check


def hands_back_within(*, phase: str, bound_s: float, since_cure: bool = False) -> Checker:
    """CONN-2: how long after the store's first answer any instance still said that a fallback decides.

    Read off the instances' own readiness, so only where they tell it; where none ever said so, nothing was handed back
    and nothing is known. `since_cure` counts from the cure, for a fault that the store itself does not feel.
    """

    def check(history: History) -> Finding:
        fault = fault_of(history, phase)
        back = None if fault is None else store_back_at(history, phase, fault)
        readings = [] if back is None else history.observations("ready.degraded", phase=phase)
        if fault is None or back is None or not readings:
            return _silent(history, phase, "readiness after the store was back", expected=bound_s)
        origin = fault.ended_at if since_cure else back
        covered = {
            _instance(item) for item in readings if item.at >= fault.started_at and item.value and _answered(item)
        }
        if not covered:
            return undecided(
                "no instance ever said that a fallback decides, so there was nothing to hand back",
                expected=bound_s,
                unit="s",
                samples=len(readings),
            )
        later = [item for item in readings if item.at >= origin]
        last = max((item.at for item in later if item.value), default=origin)
        read_for, waited = (later[-1].at - origin if later else 0.0), last - origin
        if waited <= bound_s and read_for < bound_s:
            return undecided(f"readiness was read for {read_for:.1f} s only", expected=bound_s, unit="s")
        since = "the cure" if since_cure else "the store's first answer"
        finding = Finding(
            Verdict.HOLDS if waited <= bound_s else Verdict.VIOLATED,
            f"at most {bound_s:g}",
            round(waited, 3),
            "s",
            len(later),
            f"of {len(covered)} instances on a fallback the last said so for {waited:.2f} s after {since}",
        )
        return unless_noisy(finding, history, origin, later[-1].at, gross=waited > GROSS * bound_s)

    return check


def admissions_within_insurance(
    kind: str, *, phase: str, actor: str, limit: int, window_s: float, insurance: int, may_forget: bool = False
) -> Checker:
    """RATE-7: at most `limit` admissions in a window, and `limit + insurance` in one that the outage touches.

    Where `insurance` is 0 the fault takes nothing away, and the limit holds throughout. Otherwise the claim holds only
    where a limiter that lets everybody pass in the outage would have gone beyond the bound: a few requests would not.
    A store that `may_forget` what it acknowledged (asynchronous replication) forgets admissions too: where it is shown
    to have lost writes, as many as the limit may be among them, and are admitted again.
    """

    def check(history: History) -> Finding:
        fault = fault_of(history, phase)
        lost = len(account_of_writes(history, phase=phase).lost) if may_forget else 0
        bound = limit + insurance + (limit if lost else 0)
        probes = [probe for probe in select(history, kind, phase=phase, actor=actor) if probe.status is not None]
        passed = list(filter(admitted, probes))
        expected = f"at most {bound}"
        if fault is not None and fault.labels.get("cured_by") == "hook" and not probes:
            return undecided(
                "what a stranger admits beyond its limit in an outage is nowhere declared", expected=expected
            )
        if fault is None or not passed:
            return nothing_to_judge(history, phase, "admitted probe of the limit", expected=expected)
        if not any(map(denied, probes)):
            return undecided("no probe was denied, so the limit was not reached", expected=expected)
        over = max(store_back_at(history, phase, fault) or 0.0, fault.ended_at)
        before = [probe for probe in passed if probe.completed_at < fault.started_at]
        after = [probe for probe in passed if probe.invoked_at > over + _OURS_AGAIN_S]
        for part, most_allowed in ((before, limit), (passed, bound), (after, limit)):
            together = _in_one_window(part, window_s)
            if len(together) > most_allowed:
                finding = convicted(
                    f"one window of {window_s:g} s surely holds {len(together)} admissions of one client",
                    together[: most_allowed + 1],
                    expected=f"at most {most_allowed}",
                    observed=len(together),
                    unit="admissions in a window",
                    samples=len(probes),
                )
                # When an instance hands back is a matter of time; how much it admits until then is not.
                return unless_noisy(finding, history, over, after[-1].completed_at) if part is after else finding
        failing_open = _if_all_passed(probes, Span(fault.kind, "away", fault.started_at, over), limit, window_s)
        if insurance and failing_open <= bound:
            return undecided(
                f"so little was asked in the outage that letting everybody pass would come to {failing_open} in a "
                f"window, where {bound} may pass",
                expected=expected,
                samples=len(probes),
            )
        most = len(_in_one_window(passed, window_s))
        beyond = f", and an outage adds at most {insurance}" if insurance else ""
        beyond += f"; the store lost {lost} acknowledged writes, and up to {limit} admissions with them" if lost else ""
        return acquitted(
            f"the busiest window holds {most} admissions; the limit is {limit}{beyond}",
            expected=expected,
            observed=most,
            unit="admissions in a window",
            samples=len(probes),
        )

    return check


def _silent(history: History, phase: str, what: str, *, expected: float) -> Finding:
    """UNDECIDED, for want of readiness: the run's reason, or that the deployment has no route that tells it."""
    why = skip_reason(history, phase) or untold(history, "ready")
    return undecided(why, expected=expected) if why else nothing_to_judge(history, phase, what, expected=expected)


def _if_all_passed(probes: Sequence[Operation], away: Span, limit: int, window_s: float) -> int:
    """The most that one window would hold if everything asked in the outage had passed, and the limit held besides."""
    most = 0
    for first in probes:
        inside = [probe for probe in probes if first.invoked_at <= probe.invoked_at < first.invoked_at + window_s]
        asked = sum(away.started_at <= probe.invoked_at and probe.completed_at <= away.ended_at for probe in inside)
        most = max(most, asked + min(limit, len(inside) - asked))
    return most


def _in_one_window(operations: Sequence[Operation], window_s: float) -> list[Operation]:
    places = surely_in_one_window(
        [op.invoked_at for op in operations], [op.completed_at for op in operations], window_s - CLOCK_SLACK_S
    )
    return [operations[place] for place in places]


def _instance(reading: Observation) -> str:
    return reading.labels.get("instance", "")


def _answered(reading: Observation) -> bool:
    return reading.labels.get("answered") != "no"
