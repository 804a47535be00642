"""From a history to tidy tables, and from tables to figures with intervals.

`tables` lays a history out as data frames, `windows` counts what fell into any stretch of time, `statistics` puts an
interval around a figure. Everything is a pure function; nothing here draws or judges.
"""

from cryptosense.workbench.measures.statistics import (
    Estimate,
    Slope,
    bootstrap,
    holm,
    needed_samples,
    p_value_of_difference,
    percentile,
    percentile_ratio,
    proportion,
    slope,
)
from cryptosense.workbench.measures.tables import nice_bin, observations, operations, spans, timeline
from cryptosense.workbench.measures.windows import busiest_window, surely_in_one_window, trailing_counts

__all__ = [
    "Estimate",
    "Slope",
    "bootstrap",
    "busiest_window",
    "holm",
    "needed_samples",
    "nice_bin",
    "observations",
    "operations",
    "p_value_of_difference",
    "percentile",
    "percentile_ratio",
    "proportion",
    "slope",
    "spans",
    "surely_in_one_window",
    "timeline",
    "trailing_counts",
]
