"""Checkers of growth: a figure is flat when the upper bound of its slope lies under a stated margin.

"Not significantly rising" is no verdict here: a short or a noisy run would pass for a tight one. What is kept for every
visitor is still kept for the last ones, so a figure is convicted only where its later half alone rises by more than the
margin: what fills up at first is no leak. The slope is per visitor, so that a run of any length and speed can be
compared with the margin.
"""

from collections.abc import Sequence

import numpy as np

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.reading import nothing_to_judge
from cryptosense.workbench.history import History
from cryptosense.workbench.measures import Slope, slope
from cryptosense.workbench.verdicts import Verdict


def series_per_visitor(history: History, name: str, *, visit: str, phase: str) -> tuple[list[float], list[float]]:
    """Visitors seen so far, and the figure, at each reading within the phase; summed over what reports it.

    Readings are labelled with the process they are of; those taken at one sweep carry one `sweep` label.
    """
    done = np.sort([operation.completed_at for operation in history.operations(visit, phase=phase)])
    sweeps: dict[str, list[tuple[float, float]]] = {}
    for reading in history.observations(name, phase=phase):
        sweeps.setdefault(reading.labels.get("sweep", f"{reading.at}"), []).append((reading.at, reading.value))
    full = max((len(readings) for readings in sweeps.values()), default=0)
    whole = [readings for readings in sweeps.values() if len(readings) == full]
    visitors = [float(np.searchsorted(done, readings[0][0], side="right")) for readings in whole]
    return visitors, [sum(value for _, value in readings) for readings in whole]


def growth_per_visitor(history: History, name: str, *, visit: str, phase: str, scale: float = 1.0) -> Slope | None:
    """The figure's slope per visitor, the figure divided by `scale` first; None with too few readings."""
    visitors, values = series_per_visitor(history, name, visit=visit, phase=phase)
    return slope(visitors, [value / scale for value in values]) if len(visitors) >= 8 else None


def flat(name: str, *, visit: str, phase: str, margin: float, unit: str) -> Checker:
    """Checks that the figure `name` grows by less than `margin` per visitor (operations `visit` of the phase)."""

    def check(history: History) -> Finding:
        if not history.observations(name, phase=phase):
            return nothing_to_judge(history, phase, f"reading of {name}", expected=f"less than {margin:g}")
        visitors, values = series_per_visitor(history, name, visit=visit, phase=phase)
        found = growth_per_visitor(history, name, visit=visit, phase=phase)
        if found is None:
            return undecided(
                f"{len(values)} readings do not make a slope; it needs 8", expected=f"less than {margin:g}"
            )
        verdict, closing = _judged(found, _later_half(visitors, values), margin)
        return Finding(
            verdict,
            f"less than {margin:g}",
            round(found.per_second, 4),
            f"{unit} per visitor",
            found.samples,
            f"from {values[0]:.6g} to {values[-1]:.6g} {unit} over "
            f"{visitors[-1] - visitors[0]:.0f} visitors: {closing}",
            interval=(round(found.low, 4), round(found.high, 4)),
        )

    return check


def _seen_from(found: Slope, later: Slope | None, margin: float) -> str:
    """From how much steady growth on readings as scattered as these would have convicted."""
    if later is None:
        return "so few readings convict no growth"
    seen_from = found.per_second + margin - min(found.low, later.low)
    return f"in this run more than {seen_from:.4g} each would have convicted, and less is not seen as growth"


def _later_half(visitors: Sequence[float], values: Sequence[float]) -> Slope | None:
    """The slope over the later half of the readings, or the last eight of them; None with fewer than twelve in all."""
    if len(visitors) < 12:
        return None
    first = min(len(visitors) // 2, len(visitors) - 8)
    return slope(visitors[first:], values[first:])


def _judged(found: Slope, later: Slope | None, margin: float) -> tuple[Verdict, str]:
    if found.high < margin:
        return Verdict.HOLDS, f"at most {found.high:.4g} each, under the margin; {_seen_from(found, later, margin)}"
    if found.low <= margin:
        return Verdict.UNDECIDED, "the margin lies within the interval; a longer run would tell"
    if later is not None and later.low > margin:
        least = min(found.low, later.low)
        return (
            Verdict.VIOLATED,
            f"at least {least:.4g} each, to the end: something is kept for every visitor",
        )
    return (
        Verdict.UNDECIDED,
        "it rose at first; whether it goes on the later half does not tell, a longer run would",
    )
