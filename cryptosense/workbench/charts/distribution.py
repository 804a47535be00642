"""Latency distributions: which share of answers came within how long."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from cryptosense.workbench.charts.lines import Threshold
from cryptosense.workbench.charts.style import (
    COLOURS,
    LINE_STYLES,
    figure_text,
    in_words,
    log_ticks,
    new_figure,
    sample_note,
    styled,
)
from cryptosense.workbench.experiment import Chart

_POINTS = 300


def latency_distribution(
    name: str, title: str, groups: Mapping[str, ArrayLike], *, thresholds: Sequence[Threshold] = ()
) -> Chart:
    """Cumulative shares of latencies in ms, one line a group (hit, miss, ...), on a logarithmic axis.

    Medians are marked with their figure. `thresholds` are vertical, in ms. A group without a value is told as such.
    """
    samples = {label: np.sort(np.asarray(values, dtype=np.float64)) for label, values in groups.items()}
    with styled():
        figure, (axis,) = new_figure(title, height=3.4)
        axis.set_xscale("log")
        for style, (label, values) in zip(LINE_STYLES, samples.items(), strict=False):
            if not values.size:
                continue
            x, y = _curve(values)
            axis.plot(x, y, color=style.colour, linestyle=style.dash, label=f"{label} (n = {values.size:,})", zorder=3)
            median = float(np.median(values))
            axis.plot([median], [0.5], style.marker, color=style.colour, markersize=6, zorder=4)
            axis.annotate(
                f"{figure_text(median)} ms",
                xy=(median, 0.5),
                xytext=(7, -4),
                textcoords="offset points",
                va="top",
                fontsize=8,
                color=style.colour,
                zorder=4,
            )
        for threshold in thresholds:
            axis.axvline(threshold.value, color=COLOURS["limit"], linewidth=1.2, linestyle=(0, (7, 2)), zorder=2)
            axis.annotate(
                f"{threshold.label}: {figure_text(threshold.value)} ms",
                xy=(threshold.value, 0.02),
                xycoords=("data", "axes fraction"),
                xytext=(-3, 0),
                textcoords="offset points",
                ha="right",
                rotation=90,
                fontsize=7.5,
                color=COLOURS["limit"],
            )
        axis.set_ylim(0, 1.02)
        axis.yaxis.set_major_formatter(PercentFormatter(1.0))
        log_ticks(axis.xaxis)
        axis.set_xlabel("latency in ms (logarithmic)")
        axis.set_ylabel("share of answers within")
        sample_note(axis, sum(values.size for values in samples.values()))
        if any(values.size for values in samples.values()):
            axis.legend(loc="upper left")
    return Chart(name, title, _words(samples, thresholds), figure)


def _curve(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most 300 points of the empirical distribution, both ends among them."""
    places = np.unique(np.linspace(0, values.size - 1, min(values.size, _POINTS)).round().astype(int))
    return np.maximum(values[places], 1e-3), (places + 1) / values.size


def _words(samples: Mapping[str, NDArray[np.float64]], thresholds: Sequence[Threshold]) -> str:
    told = []
    for label, values in samples.items():
        if not values.size:
            told.append(f"{label}: no sample")
            continue
        median, most = (figure_text(float(np.percentile(values, q))) for q in (50, 99))
        told.append(f"{label}: median {median} ms and 99 % within {most} ms of {values.size:,} answers")
    limits = [f"{threshold.label} is {figure_text(threshold.value)} ms" for threshold in thresholds]
    return f"Latency distributions. {'; '.join(told)}.{f' {in_words(limits)}.' if limits else ''}"
