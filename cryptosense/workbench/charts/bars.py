"""Bars: counts and shares by group beside their limits, and waterfalls of where time went."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes

from cryptosense.workbench.charts.lines import Threshold
from cryptosense.workbench.charts.style import (
    COLOURS,
    HATCHES,
    LINE_STYLES,
    figure_text,
    in_words,
    limit_line,
    log_ticks,
    new_figure,
    sample_note,
    styled,
)
from cryptosense.workbench.experiment import Chart


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: where it stands (`category`), whose it is (`group`), how high, and its interval if it has one."""

    category: str
    group: str
    value: float
    low: float | None = None
    high: float | None = None


def bars(
    name: str,
    title: str,
    found: Sequence[Bar],
    *,
    y_label: str,
    unit: str = "",
    thresholds: Sequence[Threshold] = (),
    samples: int | str | None = None,
    log_y: bool = False,
) -> Chart:
    """Upright bars, groups side by side within each category, each with its figure above it."""
    categories = list(dict.fromkeys(bar.category for bar in found))
    groups = list(dict.fromkeys(bar.group for bar in found))
    width = 0.8 / max(len(groups), 1)
    with styled():
        figure, (axis,) = new_figure(title, height=3.2)
        if log_y:
            axis.set_yscale("log")
        for place, group in enumerate(groups):
            mine = [bar for bar in found if bar.group == group]
            at = [categories.index(bar.category) + (place - (len(groups) - 1) / 2) * width for bar in mine]
            style = LINE_STYLES[place % len(LINE_STYLES)]
            axis.bar(
                at,
                [bar.value for bar in mine],
                width=width * 0.92,
                color=style.colour,
                alpha=0.85,
                edgecolor=COLOURS["surface"],
                linewidth=0,
                hatch=HATCHES[place % len(HATCHES)],
                label=group,
                zorder=2,
            )
            _figures(axis, at, mine, unit)
        for threshold in thresholds:
            limit_line(axis, threshold.value, f"{threshold.label}: {figure_text(threshold.value)}{unit}")
        if log_y:
            log_ticks(axis.yaxis)
            axis.set_ylim(top=axis.get_ylim()[1] * 1.6)
        else:
            top = max([0.0, *(bar.high or bar.value for bar in found), *(limit.value for limit in thresholds)])
            axis.set_ylim(0, top * 1.18 or 1)
        room = max(7, 84 // max(len(categories), 1))
        axis.set_xticks(range(len(categories)), [fill(category, room) for category in categories], color=COLOURS["ink"])
        spare = max(0.0, (4 - len(categories) * len(groups)) * 0.35)
        axis.set_xlim(-0.5 - spare, len(categories) - 0.5 + spare)
        axis.set_ylabel(y_label)
        sample_note(axis, samples)
        if len(groups) > 1:
            figure.legend(loc="outside lower left", ncols=min(len(groups), 4))
    return Chart(name, title, _bars_words(found, y_label, unit, thresholds), figure)


def _figures(axis: Axes, at: Sequence[float], mine: Sequence[Bar], unit: str) -> None:
    """Each bar's interval as a whisker, and its figure above that."""
    for x, bar in zip(at, mine, strict=True):
        if bar.low is not None and bar.high is not None:
            axis.plot([x, x], [bar.low, bar.high], color=COLOURS["ink"], linewidth=1.2, zorder=3)
        axis.annotate(
            f"{figure_text(bar.value)}{unit}",
            xy=(x, max(bar.value, bar.high or bar.value)),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            bbox={"facecolor": COLOURS["surface"], "alpha": 0.6, "linewidth": 0, "pad": 0.3},
            zorder=6,
        )


def _bars_words(found: Sequence[Bar], y_label: str, unit: str, thresholds: Sequence[Threshold]) -> str:
    told = [f"{bar.group}, {bar.category}: {figure_text(bar.value)}{unit}" for bar in found]
    limits = [f"{threshold.label} is {figure_text(threshold.value)}{unit}" for threshold in thresholds]
    return f"{y_label}. {'; '.join(told + limits) or 'Nothing was measured'}."


def waterfall(
    name: str, title: str, rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], *, budget_s: float | None = None
) -> Chart:
    """Where recovery's time went: for each row (a kind of failure), its steps in seconds, one after the other.

    Steps of one name share colour and hatch over all rows; each row ends with its total. `budget_s` is the bound.
    """
    names = list(dict.fromkeys(step for _, steps in rows for step, _ in steps))
    totals = [sum(seconds for _, seconds in steps) for _, steps in rows]
    with styled():
        figure, (axis,) = new_figure(title, height=0.5 * len(rows) + 1.6)
        for place, step in enumerate(names):
            begins, lengths = [], []
            for _, steps in rows:
                before = np.cumsum([0.0, *(seconds for _, seconds in steps)])
                index = next((index for index, (label, _) in enumerate(steps) if label == step), None)
                begins.append(0.0 if index is None else float(before[index]))
                lengths.append(0.0 if index is None else float(steps[index][1]))
            axis.barh(
                range(len(rows)),
                lengths,
                left=begins,
                height=0.62,
                color=LINE_STYLES[place % len(LINE_STYLES)].colour,
                alpha=0.85,
                edgecolor=COLOURS["surface"],
                linewidth=0.6,
                hatch=HATCHES[place % len(HATCHES)],
                label=step,
                zorder=2,
            )
        for place, total in enumerate(totals):
            axis.annotate(
                f"{figure_text(total)} s",
                xy=(total, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                fontweight="bold",
            )
        if budget_s is not None:
            axis.axvline(budget_s, color=COLOURS["limit"], linewidth=1.3, linestyle=(0, (7, 2)), zorder=3)
        axis.set_xlim(0, max([*totals, budget_s or 0.0, 0.1]) * 1.15)
        axis.set_yticks(range(len(rows)), [label for label, _ in rows], color=COLOURS["ink"])
        axis.invert_yaxis()
        axis.grid(visible=True, axis="x")
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("seconds since the fault began")
        sample_note(axis, "" if budget_s is None else f"budget {figure_text(budget_s)} s (dashed)")
        figure.legend(loc="outside lower left", ncols=min(len(names), 4) or 1)
    return Chart(name, title, _waterfall_words(rows, totals, budget_s), figure)


def _waterfall_words(
    rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], totals: Sequence[float], budget_s: float | None
) -> str:
    told = [
        f"{label} took {figure_text(total)} s: "
        + in_words([f"{figure_text(seconds)} s to {step}" for step, seconds in steps])
        for (label, steps), total in zip(rows, totals, strict=True)
    ]
    budget = "" if budget_s is None else f" The budget is {figure_text(budget_s)} s."
    return f"Where the time of recovery went. {'; '.join(told) or 'Nothing was measured'}.{budget}"
