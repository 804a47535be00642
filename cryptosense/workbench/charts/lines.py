"""Lines with bands: a figure against instances, load, users or anything else that was varied."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from cryptosense.workbench.charts.style import (
    COLOURS,
    LINE_STYLES,
    LineStyle,
    figure_text,
    in_words,
    limit_line,
    log_ticks,
    new_figure,
    sample_note,
    short,
    styled,
)
from cryptosense.workbench.experiment import Chart


@dataclass(frozen=True, slots=True)
class Series:
    """One line; `low` and `high` bound its band and are as long as `x`.

    `kind` tells a measured line from a theory's (broad, pale, no markers) and from an extrapolated one (hollow markers,
    dashed), which no reader should take for a measurement. Series of one `label` across panels share their style.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    kind: Literal["measured", "theory", "extrapolated"] = "measured"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value that the figure should stay under (or over), with its label."""

    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes. `samples` is the number of operations or readings it rests on, or a short text for it."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    thresholds: Sequence[Threshold] = ()
    samples: int | str | None = None
    log_x: bool = False
    log_y: bool = False
    whole_x: bool = False
    unit: str = ""


def lines(name: str, title: str, panels: Sequence[Panel], *, columns: int | None = None, height: float = 2.9) -> Chart:
    """Panels of lines, two side by side unless `columns` says otherwise; `height` is a row's, in inches."""
    across = columns or min(len(panels), 2)
    down = -(-len(panels) // across)
    styles = _styles(panels)
    with styled():
        figure, axes = new_figure(title, height=height * down + 0.55, rows=down, columns=across)
        for axis, panel in zip(axes, panels, strict=False):
            _draw(axis, panel, styles)
        for axis in axes[len(panels) :]:
            axis.remove()
        legends = [axis.get_legend_handles_labels() for axis in axes[: len(panels)]]
        keys = {label: handle for handles, labels in legends for handle, label in zip(handles, labels, strict=True)}
        figure.legend(
            list(keys.values()), list(keys), loc="outside lower left", ncols=min(len(keys), 4) or 1, handlelength=3
        )
    return Chart(name, title, " ".join(_words(panel) for panel in panels), figure)


def _styles(panels: Sequence[Panel]) -> dict[str, LineStyle]:
    labels = dict.fromkeys(line.label for panel in panels for line in panel.series if line.kind != "theory")
    return {label: LINE_STYLES[place % len(LINE_STYLES)] for place, label in zip(count(), labels, strict=False)}


def _draw(axis: Axes, panel: Panel, styles: dict[str, LineStyle]) -> None:
    axis.set_title(panel.title)
    sample_note(axis, panel.samples)
    axis.set_xlabel(panel.x_label)
    axis.set_ylabel(panel.y_label)
    if panel.log_x:
        axis.set_xscale("log")
    if panel.log_y:
        axis.set_yscale("log")
    for line in panel.series:
        _draw_line(axis, line, styles.get(line.label))
    for threshold in panel.thresholds:
        limit_line(axis, threshold.value, f"{threshold.label}: {figure_text(threshold.value)}{panel.unit}")
    _name_ends(axis, panel, styles)
    if not panel.log_y:
        bottom, top = axis.get_ylim()
        axis.set_ylim(min(0.0, bottom) if bottom >= 0 else bottom, top + 0.08 * (top - bottom))
    _ticks(axis, panel)


def _draw_line(axis: Axes, line: Series, style: LineStyle | None) -> None:
    if line.kind == "theory" or style is None:
        # Broad and pale below the measured line, so that both are seen where they agree.
        axis.plot(line.x, line.y, color=COLOURS["shade"], alpha=0.45, linewidth=5.5, label=line.label, zorder=2)
        return
    hollow = line.kind == "extrapolated"
    axis.plot(
        line.x,
        line.y,
        color=style.colour,
        marker=style.marker,
        linestyle=(0, (2, 2)) if hollow else style.dash,
        markerfacecolor=COLOURS["surface"] if hollow else style.colour,
        label=f"{line.label}, extrapolated" if hollow else line.label,
        zorder=3,
    )
    if line.low is not None and line.high is not None:
        axis.fill_between(line.x, line.low, line.high, color=style.colour, alpha=0.16, linewidth=0)


def _name_ends(axis: Axes, panel: Panel, styles: dict[str, LineStyle]) -> None:
    """Writes each line's last figure at its end: above it, or where another figure or a threshold is near, apart."""
    bottom, top = (float(axis.transScale.transform((1, bound))[1]) for bound in axis.get_ylim())

    def place(value: float) -> float:
        """Where the value lies on the axis, from 0 to 1."""
        return (float(axis.transScale.transform((1, value))[1]) - bottom) / (top - bottom)

    ends = [line for line in panel.series if line.kind != "theory" and len(line.y)]
    for line in ends:
        last = line.y[-1]
        above_it = [other.y[-1] for other in ends if other is not line and other.y[-1] > last]
        twins = [other.y[-1] for other in ends[: ends.index(line)] if other.y[-1] == last]
        limits = [threshold.value for threshold in panel.thresholds if abs(place(threshold.value) - place(last)) < 0.1]
        below = bool(twins) or any(place(other) - place(last) < 0.1 for other in above_it)
        below = below or any(limit >= last for limit in limits)
        axis.annotate(
            f"{figure_text(last)}{panel.unit}",
            xy=(line.x[-1], last),
            xytext=(0, -6 if below else 14 if limits else 5),
            textcoords="offset points",
            ha="right",
            va="top" if below else "bottom",
            fontsize=8,
            color=styles[line.label].colour,
            bbox={"facecolor": COLOURS["surface"], "alpha": 0.6, "linewidth": 0, "pad": 0.3},
            zorder=4,
        )


def _ticks(axis: Axes, panel: Panel) -> None:
    if panel.whole_x:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for logarithmic, line in ((panel.log_x, axis.xaxis), (panel.log_y, axis.yaxis)):
        if logarithmic:
            log_ticks(line)
        else:
            line.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def _words(panel: Panel) -> str:
    told = [_line_words(line, panel) for line in panel.series if len(line.y)]
    limits = [f"{limit.label} is {figure_text(limit.value)}{panel.unit}" for limit in panel.thresholds]
    rests = f" It rests on {panel.samples:,} samples." if isinstance(panel.samples, int) else ""
    return f"{panel.title} ({panel.y_label} against {panel.x_label}): {'; '.join(told + limits)}.{rests}"


def _line_words(line: Series, panel: Panel) -> str:
    first, last = (f"{figure_text(value)}{panel.unit}" for value in (line.y[0], line.y[-1]))
    prefix = {"theory": "by theory ", "extrapolated": "extrapolated "}.get(line.kind, "")
    if len(line.y) == 1:
        return f"{prefix}{line.label} is {first} at {short(line.x[0])}"
    ends = in_words([f"{first} at {short(line.x[0])}", f"{last} at {short(line.x[-1])}"])
    return f"{prefix}{line.label} is {ends}"
