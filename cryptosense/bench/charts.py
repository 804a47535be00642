"""The bench's two pictures: where everybody stands against the goals, and how our cost grows beside the floor's."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cryptosense.bench.growth import BEND
from cryptosense.bench.rows import OURS, Better, Entry, Row
from cryptosense.workbench.charts.style import COLOURS, LINE_STYLES, log_ticks, new_figure, styled

_PLAN = "plan's"
_ROW_INCHES = 0.34
_OUR_VARIANTS = ("s", "^", "D", "v")


def draw_standing(rows: Sequence[Row]) -> Figure:
    """Every row that has a goal, scaled so that the goal is 1 and left of it is better; logarithmic.

    Ours is the large dot, with its interval; hollow marks are our own variants, crosses the plan's code.
    """
    shown = [row for row in rows if row.goal is not None]
    with styled():
        figure, (axes,) = new_figure(
            "Where we and our peers stand against the goals", height=_ROW_INCHES * len(shown) + 1.5
        )
        looks = _looks(shown)
        for place, row in enumerate(shown):
            for entry in row.entries:
                _mark(axes, row, entry, place, looks[entry.name])
        axes.axvline(1.0, color=COLOURS["limit"], linewidth=1.3, linestyle=(0, (7, 2)), zorder=1)
        axes.set_xscale("log")
        log_ticks(axes.xaxis)
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_yticks(range(len(shown)), [row.item for row in shown])
        axes.invert_yaxis()
        axes.set_xlabel("figure ÷ goal; left of the dashed line the goal is reached")
        _legend(figure, axes)
    return figure


def draw_growth(points: Sequence[Mapping[str, Any]]) -> Figure:
    """A panel for each axis: our cost per operation over the floor's, with intervals; logarithmic in both directions.

    The dashed line is the lowest ratio times `BEND`: what lies above it with its whole interval bends.
    """
    axes_names = list(dict.fromkeys(point["axis"] for point in points))
    with styled():
        figure, panels = new_figure(
            "How our cost grows beside the floor's", height=2.6, columns=max(1, len(axes_names)), sharey=True
        )
        for panel, name in zip(panels, axes_names, strict=False):
            _grow(panel, [point for point in points if point["axis"] == name])
            panel.set_xlabel(name)
        panels[0].set_ylabel("our time ÷ the floor's")
    return figure


def _grow(panel: Axes, points: Sequence[Mapping[str, Any]]) -> None:
    values, ratios = [point["value"] for point in points], [point["ratio"] for point in points]
    errors = [
        [point["ratio"] - point["low"] for point in points],
        [point["high"] - point["ratio"] for point in points],
    ]
    panel.errorbar(values, ratios, yerr=errors, color=COLOURS["series-1"], marker="o", capsize=2)
    most = min(point["high"] for point in points) * BEND
    panel.axhline(most, color=COLOURS["limit"], linewidth=1.1, linestyle=(0, (7, 2)))
    panel.set_xscale("log")
    panel.set_yscale("log")
    log_ticks(panel.xaxis)
    log_ticks(panel.yaxis)


def _looks(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """How each contender is marked, the same in every row."""
    names = dict.fromkeys(entry.name for row in rows for entry in row.entries)
    variants = iter(_OUR_VARIANTS * len(names))
    peers = iter([(style, fill) for fill in ("full", "none") for style in LINE_STYLES[1:]] * len(names))
    looks: dict[str, dict[str, Any]] = {}
    for name in names:
        if name == OURS:
            looks[name] = {"marker": "o", "markersize": 7, "color": COLOURS["series-1"], "zorder": 4}
        elif name.startswith(OURS):
            looks[name] = {"marker": next(variants), "color": COLOURS["series-1"], "markerfacecolor": "none"}
        elif name.startswith(_PLAN):
            looks[name] = {"marker": "x", "color": COLOURS["failed"]}
        else:
            style, fill = next(peers)
            looks[name] = {"marker": style.marker, "color": style.colour, "fillstyle": fill}
    return looks


def _mark(axes: Axes, row: Row, entry: Entry, place: int, look: Mapping[str, Any]) -> None:
    if entry.name == OURS and entry.figure.low != entry.figure.high:
        ends = [_against_goal(row, entry.figure.low), _against_goal(row, entry.figure.high)]
        axes.plot(ends, [place, place], color=COLOURS["series-1"], linewidth=1.6, zorder=3)
    axes.plot(_against_goal(row, entry.figure.median), place, linestyle="none", label=entry.name, **look)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    first = dict(zip(reversed(names), reversed(handles), strict=True))
    order = list(dict.fromkeys(names))
    figure.legend([first[name] for name in order], order, loc="outside lower left", ncols=4)


def _against_goal(row: Row, figure: float) -> float:
    if row.goal is None or row.goal.figure == 0:
        return figure
    share = figure / row.goal.figure
    return share if row.goal.better is Better.LOWER else 1 / max(share, 1e-9)
