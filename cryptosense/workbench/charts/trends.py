"""Slopes: a series over time with its fitted line and how steep it may be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from cryptosense.workbench.charts.style import (
    COLOURS,
    LINE_STYLES,
    LineStyle,
    figure_text,
    in_words,
    new_figure,
    sample_note,
    styled,
)
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.measures import Slope

_POINTS = 400


@dataclass(frozen=True, slots=True)
class Trend:
    """Readings over time with the slope fitted to them (None: too few readings).

    `margin` is the steepest growth per second that still counts as flat, in the same unit as the readings. A series
    against something else than time says so in `x_label`, and in `per` the name and size of the step that growth is
    told for.
    """

    label: str
    unit: str
    seconds: Sequence[float]
    values: Sequence[float]
    slope: Slope | None
    margin: float | None = None
    x_label: str = "seconds"
    per: tuple[str, float] = ("min", 60.0)


def trends(name: str, title: str, series: Sequence[Trend]) -> Chart:
    """Small multiples, one a series, each with its own scale: readings, fitted line, interval cone and verdict."""
    across = min(len(series), 2) or 1
    down = -(-len(series) // across) or 1
    with styled():
        figure, axes = new_figure(title, height=2.3 * down + 0.7, rows=down, columns=across)
        for place, (axis, trend) in enumerate(zip(axes, series, strict=False)):
            _draw(axis, trend, LINE_STYLES[place % len(LINE_STYLES)])
        for axis in axes[len(series) :]:
            axis.remove()
    return Chart(name, title, " ".join(_words(trend) for trend in series) or "No series was read.", figure)


def _draw(axis: Axes, trend: Trend, style: LineStyle) -> None:
    seconds, values = np.asarray(trend.seconds, dtype=float), np.asarray(trend.values, dtype=float)
    kept = np.unique(np.linspace(0, seconds.size - 1, min(seconds.size, _POINTS)).round().astype(int))
    axis.plot(seconds[kept], values[kept], style.marker, color=style.colour, markersize=2, alpha=0.55, zorder=2)
    axis.set_title(f"{trend.label} ({trend.unit})" if trend.unit else trend.label)
    sample_note(axis, int(seconds.size))
    axis.set_xlabel(trend.x_label)
    fitted = trend.slope
    if fitted is None:
        return
    ends = np.array([seconds.min(), seconds.max()])
    middle = float(ends.mean())
    axis.plot(ends, [fitted.at(end) for end in ends], color=COLOURS["ink"], linewidth=1.5, zorder=4)
    slow, fast = (fitted.at(middle) + rate * (ends - middle) for rate in fitted.interval)
    axis.fill_between(ends, slow, fast, color=COLOURS["shade"], alpha=0.35, linewidth=0, zorder=3)
    if trend.margin is not None:
        allowed = [fitted.at(ends[0]), fitted.at(ends[0]) + trend.margin * float(np.ptp(ends))]
        axis.plot(ends, allowed, color=COLOURS["limit"], linestyle=(0, (7, 2)), linewidth=1.2, zorder=3.5)
    axis.annotate(
        _figures(trend),
        xy=(0.02, 0.97),
        xycoords="axes fraction",
        va="top",
        fontsize=7.5,
        bbox={"facecolor": COLOURS["surface"], "alpha": 0.8, "linewidth": 0, "pad": 1.5},
        zorder=5,
    )
    bottom, top = axis.get_ylim()
    axis.set_ylim(bottom, top + 0.3 * (top - bottom))


def _figures(trend: Trend) -> str:
    fitted = trend.slope
    if fitted is None:
        return "too few readings"
    step, size = trend.per
    rate = f"{figure_text(fitted.per_second * size)} {trend.unit}/{step}" if trend.unit else ""
    rate = rate or f"{figure_text(fitted.per_second * size)} per {step}"
    interval = f"95 %: {figure_text(fitted.low * size)} to {figure_text(fitted.high * size)}"
    margin = "" if trend.margin is None else f"\nflat under {figure_text(trend.margin * size)}"
    return f"{rate} ({interval}){margin}"


def _words(trend: Trend) -> str:
    return f"{trend.label}: {in_words(_figures(trend).splitlines())}, from {len(trend.seconds):,} readings."
