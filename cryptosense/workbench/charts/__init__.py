"""One function per kind of chart; each takes figures, never a history, and gives a `Chart` with words beside it.

Every chart shows its threshold, its value and its sample size, can be read in greyscale (markers, line styles and
hatches carry what colours carry) and says in `alt`, from the same figures, what the picture shows.
"""

from cryptosense.workbench.charts.bars import Bar, bars, waterfall
from cryptosense.workbench.charts.distribution import latency_distribution
from cryptosense.workbench.charts.lines import Panel, Series, Threshold, lines
from cryptosense.workbench.charts.matrix import Cell, matrix
from cryptosense.workbench.charts.style import as_svg
from cryptosense.workbench.charts.timeline import outcome_timeline
from cryptosense.workbench.charts.trends import Trend, trends
from cryptosense.workbench.charts.windows import window_admissions

__all__ = [
    "Bar",
    "Cell",
    "Panel",
    "Series",
    "Threshold",
    "Trend",
    "as_svg",
    "bars",
    "latency_distribution",
    "lines",
    "matrix",
    "outcome_timeline",
    "trends",
    "waterfall",
    "window_admissions",
]
