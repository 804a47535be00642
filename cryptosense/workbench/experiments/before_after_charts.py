"""The picture of `before_after`: three figures against the number of instances, memory beside Redis."""

from collections.abc import Callable, Sequence

from cryptosense.workbench.charts import Panel, Series, Threshold, lines
from cryptosense.workbench.claims.admissions import declared_limit, fullest_window
from cryptosense.workbench.claims.counts import increase, phases
from cryptosense.workbench.claims.csrf import refusals
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.history import History
from cryptosense.workbench.measures.statistics import proportion

SIDES = (("memory", "in memory"), ("redis", "in Redis"))
Figure = tuple[float, float, float, int]
"""A figure, the ends of its interval (the figure itself where there is none), and its samples."""


def before_after_charts(history: History, instances: int, lists: int) -> Sequence[Chart]:
    """One chart of three panels; a side that was not run has no line."""
    counts = range(1, instances + 1)
    limit = declared_limit(history, "strict", None)
    theory = Series("(N-1)/N", list(counts), [100 * (n - 1) / n for n in counts], kind="theory")
    declared = [Threshold(limit.limit, "declared limit")] if limit else []
    once = [Threshold(lists, "once each")]
    (refused, posts), (admitted, probes), (calls, reads) = (
        _series(history, counts, figure) for figure in (_refused, _admitted, _calls)
    )
    panels = (
        Panel(
            "CSRF posts refused", "instances", "refused %", (theory, *refused), samples=posts, whole_x=True, unit=" %"
        ),
        Panel("Effective limit", "instances", "admitted per client", admitted, declared, samples=probes, whole_x=True),
        Panel("Upstream calls", "instances", "calls", calls, once, samples=reads, whole_x=True),
    )
    title = "One service on 1 to N instances: its state in memory, and in Redis"
    return (lines("before_after", title, panels, columns=3),)


def _series(
    history: History, counts: Sequence[int], figure: Callable[[History, str], Figure | None]
) -> tuple[list[Series], int]:
    """A line a side, and how many operations they rest on."""
    series, samples = list[Series](), 0
    for side, label in SIDES:
        found = [(n, seen) for n in counts if (seen := figure(history, f"{side}-{n}")) is not None]
        if found:
            x = [float(n) for n, _ in found]
            y, low, high = ([seen[place] for _, seen in found] for place in range(3))
            series.append(Series(label, x, y, low, high))
            samples += sum(seen[3] for _, seen in found)
    return series, samples


def _refused(history: History, name: str) -> Figure | None:
    counted = refusals(history.operations("csrf.post", phase=f"{name} csrf"))
    if not counted.total():
        return None
    share = proportion(counted["refused"], counted.total())
    return 100 * share.value, 100 * share.low, 100 * share.high, counted.total()


def _admitted(history: History, name: str) -> Figure | None:
    probes, limit = history.operations("limit.probe", phase=f"{name} limit"), declared_limit(history, "strict", None)
    if not probes or limit is None:
        return None
    most = float(len(fullest_window(probes, limit.window_s)))
    return most, most, most, len(probes)


def _calls(history: History, name: str) -> Figure | None:
    spans, reads = phases(history, f"{name} reads"), history.operations("tokens.read", phase=f"{name} reads")
    calls = increase(history, "upstream.calls", spans[0]) if spans else None
    return None if calls is None else (calls, calls, calls, len(reads))
