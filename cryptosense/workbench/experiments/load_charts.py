"""The charts of `load`: throughput and latency against load, and admissions in the sliding window."""

from collections.abc import Sequence

from cryptosense.workbench.charts import Panel, Series, Threshold, lines, window_admissions
from cryptosense.workbench.claims.admissions import Limit, declared_limit
from cryptosense.workbench.claims.counts import phases
from cryptosense.workbench.claims.reading import admitted
from cryptosense.workbench.claims.throughput import carried_per_second
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.history import History, Operation, Span
from cryptosense.workbench.measures import percentile

_SURELY_S = 1e-6  # beyond rounding
_PERCENTILES = (50.0, 99.0, 99.9)


def load_charts(history: History) -> Sequence[Chart]:
    """A percentile is drawn only where there are samples enough to tell it."""
    closed, arrived = phases(history, "closed"), phases(history, "open")
    rate = Series(
        "answered",
        [float(span.name.split()[1]) for span in closed],
        [carried_per_second(history, "tokens.read", span) for span in closed],
    )
    offered = [float(span.labels.get("offered", 0.0)) for span in arrived]
    carried = [carried_per_second(history, "tokens.read", span) for span in arrived]
    samples = sum(len(history.operations("tokens.read", phase=span.name)) for span in [*closed, *arrived])
    panels = [
        Panel("Closed loop: throughput", "requests under way", "answers/s", [rate], log_x=True),
        Panel(
            "Closed loop: latency",
            "requests under way",
            "ms",
            _latency(history, closed, rate.x),
            log_x=True,
            log_y=True,
        ),
        Panel(
            "Open loop: throughput",
            "arrivals/s",
            "answers/s",
            [Series("answered", offered, carried), Series("all answered", offered, offered, kind="theory")],
        ),
        Panel(
            "Open loop: latency",
            "arrivals/s, latency from the due time",
            "ms",
            _latency(history, arrived, offered),
            thresholds=[Threshold(50, "the plan, for hits")],
            samples=samples,
            log_y=True,
        ),
    ]
    found = [lines("throughput_and_latency", "What it carries, and how long answers take", panels)]
    limit = declared_limit(history, "api", "overload")
    if limit is None:
        return found
    probes = {
        label: legal_moments([op for op in history.operations("limit.probe", phase=phase) if admitted(op)], limit)
        for label, phase in (("a crowd at one address", "one address"), ("steady overload", "overload"))
    }
    if any(probes.values()):
        title = "Admissions of one client in the sliding window"
        found.append(window_admissions("admissions", title, probes, window_s=limit.window_s, limit=limit.limit))
    return found


def legal_moments(admissions: Sequence[Operation], limit: Limit) -> list[float]:
    """A moment for each admission between its call and its answer: the earliest that keeps the limit, if any does.

    When in that interval a request took effect nobody outside can know. An excess that no choice explains stays one.
    """
    moments: list[float] = []
    for place, admission in enumerate(sorted(admissions, key=lambda operation: operation.completed_at)):
        earliest = admission.invoked_at
        if place >= limit.limit:
            earliest = max(earliest, sorted(moments)[place - limit.limit] + limit.window_s + _SURELY_S)
        moments.append(min(earliest, admission.completed_at))
    return sorted(moments)


def _latency(history: History, spans: Sequence[Span], x: Sequence[float]) -> list[Series]:
    series = []
    for q in _PERCENTILES:
        points = []
        for place, span in zip(x, spans, strict=True):
            taken = [1000 * op.latency for op in history.operations("tokens.read", phase=span.name) if op.status == 200]
            estimate = percentile(taken, q)
            if estimate is not None:
                points.append((place, estimate))
        if points:
            series.append(
                Series(
                    f"p{q:g}",
                    [place for place, _ in points],
                    [estimate.value for _, estimate in points],
                    [estimate.low for _, estimate in points],
                    [estimate.high for _, estimate in points],
                )
            )
    return series
