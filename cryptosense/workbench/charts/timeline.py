"""What users felt over time: how operations ended per service, with the faults shaded behind them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from cryptosense.workbench.charts.style import (
    COLOURS,
    WIDTH,
    figure_text,
    in_words,
    new_figure,
    sample_note,
    styled,
)
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.history import Span, SpanKind

_OUTCOMES = (("ok", "ok", ""), ("failed", "refused or failed", "////"), ("unknown", "no answer (unknown)", "xxxx"))
_FAULT_HATCHES = ("", "\\\\", "--", "||", "++")
_LETTER_POINTS = 4.4
"""The mean width of a letter of a fault's label."""
_ROW_POINTS = 10
_ROOM = 0.16
"""What a row of labels adds to the height of the bars."""
_AXIS_SHARE = 0.9
"""The share of the figure's width that the axes have."""


def outcome_timeline(name: str, title: str, table: pd.DataFrame, faults: Sequence[Span] = ()) -> Chart:
    """One row of bars a service, `table` as `measures.timeline` gives it; `faults` are shaded, phases only marked.

    A fault's label is its span's label `label`, else its name; its span's label `hatch` overrides the shading.
    """
    groups = list(dict.fromkeys(table["group"]))
    with styled():
        figure, axes = new_figure(title, height=1.15 * max(len(groups), 1) + 1.2, rows=max(len(groups), 1), sharex=True)
        for axis, group in zip(axes, groups, strict=False):
            _draw(axis, group, table[table["group"] == group])
            _shade(axis, faults)
        if groups:
            _name_faults(axes[0], faults)
        axes[-1].set_xlabel("seconds since the experiment began")
        figure.legend(
            handles=[
                Patch(facecolor=COLOURS[colour], edgecolor=COLOURS["ink"], linewidth=0.4, hatch=hatch, label=label)
                for colour, label, hatch in _OUTCOMES
            ]
            + [Patch(facecolor=COLOURS["shade"], alpha=0.3, label="fault under way")],
            loc="outside lower left",
            ncols=4,
        )
    return Chart(name, title, _words(table, faults), figure)


def _draw(axis: Axes, group: str, rows: pd.DataFrame) -> None:
    floor = np.zeros(len(rows))
    width = float(rows["seconds"].iloc[0])
    edges = np.append(rows["at"].to_numpy(dtype=float), float(rows["at"].max()) + width)
    for column, _, hatch in _OUTCOMES:
        heights = rows[column].to_numpy(dtype=float) / width
        if heights.any():
            # One path for all bars of an outcome: a rectangle each would make the page heavy.
            axis.stairs(
                floor + heights,
                edges,
                baseline=floor,
                fill=True,
                facecolor=COLOURS[column],
                edgecolor=COLOURS["ink"],
                linewidth=0,
                hatch=hatch,
                zorder=2,
            )
        floor = floor + heights
    total = int(rows[["ok", "failed", "unknown"]].to_numpy().sum())
    not_ok = total - int(rows["ok"].sum())
    axis.set_title(group)
    sample_note(axis, f"n = {total:,}, not ok {not_ok:,}")
    axis.set_ylabel("per second")
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(0, max(float(floor.max()) * 1.1, 1.0))


def _shade(axis: Axes, faults: Sequence[Span]) -> None:
    for place, fault in enumerate(fault_names(faults)):
        hatch = fault[1].labels.get("hatch", _FAULT_HATCHES[place % len(_FAULT_HATCHES)])
        for span in faults:
            if span.kind is SpanKind.FAULT and _label(span) == fault[0]:
                axis.axvspan(
                    span.started_at,
                    span.ended_at,
                    facecolor=COLOURS["shade"],
                    edgecolor=COLOURS["muted"],
                    alpha=0.3,
                    hatch=hatch,
                    linewidth=0,
                    zorder=1,
                )
    for span in faults:
        if span.kind is SpanKind.PHASE:
            axis.axvline(span.started_at, color=COLOURS["muted"], linewidth=0.7, linestyle=(0, (1, 2)), zorder=1.5)


def _name_faults(axis: Axes, faults: Sequence[Span]) -> None:
    """Each label begins at its fault, in the first row where it runs into no other."""
    left, right = axis.get_xlim()
    seconds_a_letter = _LETTER_POINTS * (right - left) / (72 * WIDTH * _AXIS_SHARE)
    row_ends: list[float] = []
    for span in sorted(faults, key=lambda span: span.started_at):
        if span.kind is not SpanKind.FAULT:
            continue
        text = f"{_label(span)} ({figure_text(span.ended_at - span.started_at)} s)"
        begins = max(left, min(span.started_at, right - len(text) * seconds_a_letter))
        row = next((row for row, end in enumerate(row_ends) if end <= begins), len(row_ends))
        row_ends[row : row + 1] = [begins + len(text) * seconds_a_letter]
        axis.annotate(
            text,
            xy=(begins, 1),
            xycoords=("data", "axes fraction"),
            xytext=(2, -2 - _ROW_POINTS * row),
            textcoords="offset points",
            va="top",
            fontsize=7.5,
            color=COLOURS["ink"],
            bbox={"facecolor": COLOURS["surface"], "alpha": 0.75, "linewidth": 0, "pad": 1.0},
            zorder=5,
        )
    axis.set_ylim(0, axis.get_ylim()[1] * (1 + _ROOM * len(row_ends)))


def fault_names(spans: Sequence[Span]) -> list[tuple[str, Span]]:
    """Each fault's label with its first span, in order of time."""
    first: dict[str, Span] = {}
    for span in sorted(spans, key=lambda span: span.started_at):
        if span.kind is SpanKind.FAULT:
            first.setdefault(_label(span), span)
    return list(first.items())


def _label(span: Span) -> str:
    return span.labels.get("label", span.name)


def _words(table: pd.DataFrame, faults: Sequence[Span]) -> str:
    told = []
    for group in dict.fromkeys(table["group"]):
        sums = table[table["group"] == group][["ok", "failed", "unknown"]].sum()
        told.append(
            f"{group}: {sums['ok']:,} ok, {sums['failed']:,} refused or failed, {sums['unknown']:,} without an answer"
        )
    shaded = [
        f"{_label(span)} from {figure_text(span.started_at)} s to {figure_text(span.ended_at)} s"
        for span in faults
        if span.kind is SpanKind.FAULT
    ]
    during = f" Faults: {in_words(shaded)}." if shaded else " No fault was injected."
    return f"How operations ended over time. {'; '.join(told) or 'No operation'}.{during}"
