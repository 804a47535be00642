"""Checkers of response times: a ratio within one run, or one of the plan's own generous bounds.

Latency counts from the intended moment of sending where the load had a schedule. Every figure carries an interval; a
bound or ratio that lies inside it is UNDECIDED.
"""

from collections.abc import Sequence

import numpy as np

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.noise import unless_noisy
from cryptosense.workbench.claims.reading import denied, nothing_to_judge
from cryptosense.workbench.history import History, Operation
from cryptosense.workbench.measures import Estimate, needed_samples, percentile, percentile_ratio
from cryptosense.workbench.verdicts import Verdict

GROSS = 3.0
"""So many times beyond its bound a timing convicts on a busy machine too."""

_SERVED_SHARE = 0.95
"""Below this share of good answers the rest's times are those of a few lucky ones."""


def served(history: History, kind: str, phase: str) -> list[Operation]:
    """The operations of that kind and phase that were answered with success."""
    return [
        operation
        for operation in history.operations(kind, phase=phase)
        if operation.status is not None and 200 <= operation.status < 300
    ]


def times_faster(kind: str, *, slow: str, fast: str, q: float, at_least: float) -> Checker:
    """Checks that percentile `q` of phase `slow` is at least so many times that of phase `fast`."""

    def check(history: History) -> Finding:
        slower, faster = served(history, kind, slow), served(history, kind, fast)
        if not slower or not faster:
            return nothing_to_judge(history, slow if not slower else fast, f"answered {kind}", expected=at_least)
        if failing := _mostly_unserved(history, kind, (slow, slower), (fast, faster)):
            return undecided(failing, expected=at_least, unit="times")
        ratio = percentile_ratio(_latencies(slower), _latencies(faster), q)
        if ratio is None:
            return _too_few(min(len(slower), len(faster)), q, at_least, "times")
        figures = (
            f"percentile {q:g}: {_told(slower, q)} ms in phase '{slow}', {_told(faster, q)} ms in phase '{fast}', "
            f"{ratio.value:.1f} times"
        )
        finding = _compared(ratio, figures, bound=at_least, more_is_better=True, unit="times")
        return _doubted(finding, history, slower + faster, gross=ratio.high < at_least / GROSS)

    return check


def percentile_within(kind: str, *, phase: str, q: float, bound_ms: float) -> Checker:
    """Checks that percentile `q` of the phase's latency is at most `bound_ms`, a figure that the plan states."""

    def check(history: History) -> Finding:
        found = served(history, kind, phase)
        if not found:
            return nothing_to_judge(history, phase, f"answered {kind}", expected=bound_ms)
        if failing := _mostly_unserved(history, kind, (phase, found)):
            return undecided(failing, expected=bound_ms, unit="ms")
        estimate = percentile([1000 * latency for latency in _latencies(found)], q)
        if estimate is None:
            return _too_few(len(found), q, bound_ms, "ms")
        figures = f"percentile {q:g} of {len(found)} answers in phase '{phase}' is {estimate.value:.1f} ms"
        finding = _compared(estimate, figures, bound=bound_ms, more_is_better=False, unit="ms")
        return _doubted(finding, history, found, gross=estimate.low > GROSS * bound_ms)

    return check


def _mostly_unserved(history: History, kind: str, *phases: tuple[str, Sequence[Operation]]) -> str | None:
    """Why the times of those that were served tell nothing: too many others were not."""
    for phase, good in phases:
        asked = history.operations(kind, phase=phase)
        if len(good) < _SERVED_SHARE * len(asked):
            missing = f"in phase '{phase}' {len(asked) - len(good)} of {len(asked)} requests got no good answer"
            limited = sum(map(denied, asked))
            return f"{missing}, {limited} of them for the deployment's own limit (429)" if limited else missing
    return None


def _compared(estimate: Estimate, figures: str, *, bound: float, more_is_better: bool, unit: str) -> Finding:
    """Holds or convicts only where the whole interval lies on one side of the bound."""
    surely_above, surely_below = estimate.low >= bound, estimate.high <= bound
    kept, broken = (surely_above, estimate.high < bound) if more_is_better else (surely_below, estimate.low > bound)
    verdict = Verdict.HOLDS if kept else Verdict.VIOLATED if broken else Verdict.UNDECIDED
    side = "at least" if more_is_better else "at most"
    closing = f"; promised is {side} {bound:g} {unit}"
    if verdict is Verdict.UNDECIDED:
        closing += ", which lies within the interval: more samples or a quieter machine would tell"
    return Finding(
        verdict,
        f"{side} {bound:g}",
        round(estimate.value, 3),
        unit,
        estimate.samples,
        figures + closing,
        interval=(round(estimate.low, 3), round(estimate.high, 3)),
    )


def _doubted(finding: Finding, history: History, operations: Sequence[Operation], *, gross: bool) -> Finding:
    started = min(operation.invoked_at for operation in operations)
    ended = max(operation.completed_at for operation in operations)
    return unless_noisy(finding, history, started, ended, gross=gross)


def _too_few(taken: int, q: float, expected: float, unit: str) -> Finding:
    return undecided(
        f"{taken} samples do not tell percentile {q:g}; it needs {needed_samples(q)}",
        expected=expected,
        unit=unit,
        samples=taken,
    )


def _latencies(operations: Sequence[Operation]) -> list[float]:
    return [operation.latency for operation in operations]


def _told(operations: Sequence[Operation], q: float) -> str:
    return f"{1000 * float(np.percentile(_latencies(operations), q)):.1f}"
