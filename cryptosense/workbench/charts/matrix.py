"""Matrices of verdicts: promise by instance, stage by gate, attack by outcome, control by claim."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from cryptosense.workbench.charts.style import COLOURS, in_words, new_figure, sample_note, styled
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.verdicts import Verdict

SYMBOLS = {Verdict.HOLDS: "✓", Verdict.VIOLATED: "✗", Verdict.UNDECIDED: "?"}
_LOOKS = {
    Verdict.HOLDS: ("holds", COLOURS["ink"], ""),
    Verdict.VIOLATED: ("violated", COLOURS["on-dark"], ""),
    Verdict.UNDECIDED: ("undecided", COLOURS["ink"], "///"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A verdict and, where it fits, a few letters of what was seen (`401`, `0 of 90`)."""

    verdict: Verdict
    text: str = ""


def matrix(
    name: str,
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[str, str], Cell | Verdict],
    *,
    samples: int | str | None = None,
    words: Mapping[Verdict, str] | None = None,
) -> Chart:
    """A table of cells by (row, column); one that is missing is blank: it was not tried.

    `words` rename the three verdicts for the legend and the text alternative, e.g. an attack's `refused`, `succeeded`,
    `not told`.
    """
    names = {Verdict.HOLDS: "holds", Verdict.VIOLATED: "violated", Verdict.UNDECIDED: "undecided", **(words or {})}
    filled = {place: cell if isinstance(cell, Cell) else Cell(cell) for place, cell in cells.items()}
    with styled():
        figure, (axis,) = new_figure(title, height=0.29 * len(rows) + 1.35)
        for down, row in enumerate(rows):
            for across, column in enumerate(columns):
                _draw(axis, across, down, filled.get((row, column)))
        _frame(axis, rows, columns)
        sample_note(axis, samples)
        figure.legend(handles=_legend(names), loc="outside lower left", ncols=4)
    return Chart(name, title, _words(rows, columns, filled, names), figure)


def _draw(axis: Axes, across: int, down: int, cell: Cell | None) -> None:
    colour, ink, hatch = ("blank", COLOURS["muted"], "") if cell is None else _LOOKS[cell.verdict]
    axis.add_patch(
        Rectangle(
            (across - 0.47, down - 0.44),
            0.94,
            0.88,
            facecolor=COLOURS[colour],
            edgecolor=COLOURS["undecided"] if hatch == "" and colour == "undecided" else COLOURS["shade"],
            linewidth=0.4,
            hatch=hatch,
        )
    )
    if cell is not None:
        text = f"{SYMBOLS[cell.verdict]} {cell.text}".strip()
        axis.text(
            across,
            down,
            text,
            ha="center",
            va="center",
            fontsize=8,
            color=ink,
            fontweight="bold" if cell.verdict is Verdict.VIOLATED else "normal",
        )


def _frame(axis: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    slanted = sum(map(len, columns)) > 62 or max(map(len, columns), default=0) > 90 // max(len(columns), 1)
    axis.set_xlim(-0.5, len(columns) - 0.5)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xticks(
        range(len(columns)),
        list(columns),
        rotation=25 if slanted else 0,
        ha="left" if slanted else "center",
        color=COLOURS["ink"],
    )
    axis.set_yticks(range(len(rows)), list(rows), color=COLOURS["ink"])
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _legend(names: Mapping[Verdict, str]) -> list[Patch]:
    keys = [
        Patch(
            facecolor=COLOURS[look[0]],
            edgecolor=COLOURS["shade"],
            hatch=look[2],
            label=f"{SYMBOLS[verdict]} {names[verdict]}",
        )
        for verdict, look in _LOOKS.items()
    ]
    return [*keys, Patch(facecolor=COLOURS["blank"], edgecolor=COLOURS["shade"], label="not tried")]


def _words(
    rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], Cell], names: Mapping[Verdict, str]
) -> str:
    counts = Counter(cell.verdict for cell in cells.values())
    told = in_words([f"{counts[verdict]} {names[verdict]}" for verdict in Verdict if counts[verdict]]) or "none tried"
    notable = [
        f"{names[cell.verdict]}: {row} / {column}{f' ({cell.text})' if cell.text else ''}"
        for row in rows
        for column in columns
        if (cell := cells.get((row, column))) is not None and cell.verdict is not Verdict.HOLDS
    ]
    listed = f" Of note: {'; '.join(notable[:12])}{' and more' if len(notable) > 12 else ''}." if notable else ""
    return f"{len(rows)} rows by {len(columns)} columns, {len(cells)} cells: {told}.{listed}"
