"""Admissions in the sliding window that ends at each moment, against the limit."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cryptosense.workbench.charts.style import (
    LINE_STYLES,
    figure_text,
    legend_above,
    limit_line,
    new_figure,
    sample_note,
    styled,
)
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.measures import trailing_counts

_POINTS = 600


def window_admissions(
    name: str, title: str, admitted_at: Mapping[str, Sequence[float]], *, window_s: float, limit: int
) -> Chart:
    """One stepped line a group: how many of its admissions lie in the `window_s` seconds before each of them.

    `admitted_at` holds moments in seconds. The most in any window is marked with its figure.
    """
    counts = {label: trailing_counts(moments, window_s) for label, moments in admitted_at.items()}
    most = {label: int(table["admitted"].max()) if len(table) else 0 for label, table in counts.items()}
    with styled():
        figure, (axis,) = new_figure(title, height=3.3)
        for style, (label, table) in zip(LINE_STYLES, counts.items(), strict=False):
            if not len(table):
                continue
            at, admitted = table["at"].to_numpy(dtype=float), table["admitted"].to_numpy(dtype=float)
            kept = _kept(admitted)
            axis.plot(
                at[kept],
                admitted[kept],
                drawstyle="steps-post",
                color=style.colour,
                linestyle=style.dash,
                label=f"{label} (n = {len(table):,})",
                zorder=3,
            )
            peak = int(admitted.argmax())
            axis.plot([at[peak]], [admitted[peak]], style.marker, color=style.colour, zorder=4)
            axis.annotate(
                f"most {most[label]:,}",
                xy=(at[peak], admitted[peak]),
                xytext=(5, 6),
                textcoords="offset points",
                fontsize=8,
                color=style.colour,
                zorder=5,
            )
        limit_line(axis, limit, f"limit {limit:,}")
        axis.set_ylim(0, max([limit, *most.values()]) * 1.2 + 1)
        axis.set_xlabel("seconds since the experiment began")
        axis.set_ylabel(f"admitted in the last {figure_text(window_s)} s")
        sample_note(axis, sum(len(table) for table in counts.values()))
        legend_above(axis, sum(bool(len(table)) for table in counts.values()))
    told = "; ".join(f"{label} at most {most[label]:,} of {len(table):,}" for label, table in counts.items())
    alt = f"Admissions in any window of {figure_text(window_s)} s against the limit of {limit:,}: {told or 'none'}."
    return Chart(name, title, alt, figure)


def _kept(admitted: NDArray[np.float64]) -> NDArray[np.intp]:
    """At most about 600 places, the peak among them."""
    places = np.linspace(0, admitted.size - 1, min(admitted.size, _POINTS)).round().astype(np.intp)
    return np.unique(np.append(places, admitted.argmax()))
