"""The look that all charts share, and how a figure becomes an SVG.

Colours come from one table of names. The report page swaps each for a variable of its own, so that a chart follows
light, dark and print; a chart opened alone keeps the light ones.
"""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

COLOURS = {
    "ink": "#1b2733",
    "muted": "#566370",
    "rule": "#d6dce2",
    "surface": "#ffffff",
    "shade": "#8c98a4",
    "series-1": "#0b5fa5",
    "series-2": "#c2500a",
    "series-3": "#00806a",
    "series-4": "#8a3f8f",
    "series-5": "#86690a",
    "series-6": "#4a5666",
    "limit": "#a11d33",
    "ok": "#9cc3e0",
    "failed": "#b3261e",
    "unknown": "#e2ab34",
    "holds": "#cfe8df",
    "violated": "#ab231d",
    "undecided": "#f3dfae",
    "on-dark": "#fdfeff",
    "blank": "#eef1f4",
}
"""Name of a role → its colour in light; picked to stay apart for the colour-blind and, by lightness, on paper."""


class LineStyle(NamedTuple):
    """What tells one series from the next, twice over."""

    colour: str
    marker: str
    dash: Any


LINE_STYLES: tuple[LineStyle, ...] = (
    LineStyle(COLOURS["series-1"], "o", "-"),
    LineStyle(COLOURS["series-2"], "s", (0, (5, 1.6))),
    LineStyle(COLOURS["series-3"], "^", (0, (1.2, 1.2))),
    LineStyle(COLOURS["series-4"], "D", (0, (6, 1.6, 1.2, 1.6))),
    LineStyle(COLOURS["series-5"], "v", (0, (3, 1.2))),
    LineStyle(COLOURS["series-6"], "P", (0, (8, 2))),
)

HATCHES: tuple[str, ...] = ("", "///", "xxx", "\\\\\\", "---", "++")
"""Lines only: a dotted hatch costs 150 kB of SVG."""

WIDTH = 7.4
"""Inches; every chart is as wide as the page's column, so that letters have one size throughout."""

SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cryptosense",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 9,
    "text.color": COLOURS["ink"],
    "text.parse_math": False,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": COLOURS["muted"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.facecolor": "none",
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.7,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": COLOURS["surface"],
}


class StyledFigure(Figure):
    """A figure that is saved in the style in which it was drawn, whoever saves it."""

    def savefig(self, *args: Any, **options: Any) -> None:
        with styled():
            super().savefig(*args, **options)


def styled() -> Any:
    """The context in which a chart is drawn and saved; outside it, what a notebook has set stays as it is."""
    return mpl.rc_context(SETTINGS)


def new_figure(title: str, *, height: float, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Figure, list[Axes]]:
    """A figure with its title at the left and its axes, row by row; `height` in inches."""
    figure = StyledFigure(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(title, x=0.004, ha="left", fontsize=10.5, fontweight="bold", color=COLOURS["ink"])
    axes = figure.subplots(rows, columns, squeeze=False, **grid)
    return figure, [axis for row in axes for axis in row]


def as_svg(figure: Figure) -> str:
    """The figure as SVG: text stays text, and the same figure always gives the same letters."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()


def sample_note(axis: Axes, samples: int | str | None) -> None:
    """Writes how many samples a panel rests on above its right corner, and below its title where panels share a row.

    The title has to be set before.
    """
    if samples is None:
        return
    text = f"n = {samples:,}" if isinstance(samples, int) else samples
    gridspec = axis.get_gridspec()
    if gridspec is None or gridspec.ncols == 1:
        axis.set_title(text, loc="right", fontsize=8, fontweight="normal", color=COLOURS["muted"])
        return
    axis.set_title(axis.get_title(loc="left"), loc="left", pad=15)
    axis.annotate(
        text,
        xy=(1, 1),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8,
        color=COLOURS["muted"],
    )


def limit_line(axis: Axes, value: float, label: str) -> None:
    """A horizontal threshold with its label, kept inside the axes' width."""
    axis.axhline(value, color=COLOURS["limit"], linewidth=1.3, linestyle=(0, (7, 2)), zorder=2.5)
    axis.annotate(
        label,
        xy=(1, value),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8,
        color=COLOURS["limit"],
        bbox={"facecolor": COLOURS["surface"], "alpha": 0.7, "linewidth": 0, "pad": 0.5},
        zorder=5,
    )


def figure_text(value: float) -> str:
    """A figure as people write it: at most three significant places, thousands with commas, then 2.5M and 3bn."""
    size = abs(value) if abs(value) > 1e-9 else 0.0  # what is left of a difference of equal figures
    for scale, letters in ((1e12, "tn"), (1e9, "bn"), (1e6, "M")):
        if size >= scale:
            return f"{value / scale:.3g}{letters}"
    if size >= 1000 or (size == int(size) and size >= 1):
        return f"{value:,.0f}"
    if size == 0:
        return "0"
    return f"{value:.3g}" if size >= 0.001 else f"{value:.1e}"


def short(value: float) -> str:
    """A tick's figure: 15k, 2M, 3bn."""
    return f"{value / 1e3:g}k" if 1e4 <= abs(value) < 1e6 else figure_text(value) if abs(value) >= 1e6 else f"{value:g}"


def log_ticks(line: Axis) -> None:
    """Readable ticks for a logarithmic axis: 1, 2 and 5 of each decade where it spans few, else the decades."""
    low, high = sorted(line.get_view_interval())
    few = high / max(low, 1e-12) < 300
    line.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    line.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    line.set_minor_formatter(NullFormatter())


def legend_above(axis: Axes, entries: int) -> None:
    """A legend in one or two lines above the axes, clear of the data."""
    if entries:
        axis.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=min(entries, 4), borderaxespad=0.2, handlelength=2.6
        )


def in_words(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
