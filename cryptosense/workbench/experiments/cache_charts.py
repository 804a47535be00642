"""The charts of `cache_speedup`."""

from collections.abc import Sequence

from cryptosense.workbench.charts import Bar, Threshold, bars, latency_distribution
from cryptosense.workbench.claims.counts import PLAN_TTL_S, increase, phases, queries_saved
from cryptosense.workbench.claims.latency import served
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.experiments.cache_phases import CacheSpeedupParameters
from cryptosense.workbench.history import History


def cache_charts(given: CacheSpeedupParameters, history: History) -> Sequence[Chart]:
    latencies = {
        label: [1000 * op.latency for op in served(history, "tokens.read", phase)]
        for label, phase in (("miss", "cold"), ("hit", "warm"))
    }
    rounds = [span for name in ("stampede", "expiry") for span in phases(history, name)]
    origin = [Bar(span.name, "upstream calls", increase(history, "upstream.calls", span) or 0.0) for span in rounds]
    crowd = sum(len(history.operations("tokens.read", phase=span.name)) for span in rounds)
    found = [
        latency_distribution(
            "latency",
            "Answers from the cache and answers that had to be fetched",
            latencies,
            thresholds=[Threshold(50, "the plan's bound for hits")],
        ),
        bars(
            "origin_calls",
            "Upstream calls for one expiry, however many ask",
            origin,
            y_label="upstream calls",
            thresholds=[Threshold(1, "promised")],
            samples=f"{crowd:,} callers",
        ),
    ]
    return [*found, *_spending(given, history)]


def _spending(given: CacheSpeedupParameters, history: History) -> list[Chart]:
    """What polling cost upstream, and portfolio reads in the database, beside the same work uncached."""
    charts = []
    polled = phases(history, "poll")
    calls = increase(history, "upstream.calls", polled[0]) if polled else None
    asked = served(history, "tokens.read", "poll")
    if calls is not None and len(asked) > 1:
        lifetimes = (asked[-1].completed_at - asked[0].invoked_at) / given.ttl_s
        scale = 60 / PLAN_TTL_S / lifetimes
        found = [
            Bar("calls per minute", "reads, each a call without a cache", len(asked) * scale),
            Bar("calls per minute", "refreshes with the cache", max(0.0, calls - 1) * scale),
        ]
        title = "Upstream calls a minute for one polled list"
        charts.append(
            bars(
                "upstream_calls",
                title,
                found,
                y_label="calls/min",
                thresholds=[Threshold(2, "the plan")],
                samples=len(asked),
            )
        )
    finding = queries_saved(
        "portfolios.read",
        "portfolios.write",
        cold="portfolios cold",
        writes="portfolios writes",
        mixed="portfolios mixed",
    )(history)
    mixed = phases(history, "portfolios mixed")
    spent = increase(history, "database.queries", mixed[0]) if mixed else None
    if spent is not None and isinstance(finding.observed, float) and finding.observed < 1:
        found = [
            Bar("read-mostly workload", "uncached, at measured prices", spent / (1 - finding.observed)),
            Bar("read-mostly workload", "with the cache", spent),
        ]
        title = "Database queries of the portfolio workload"
        charts.append(bars("database_queries", title, found, y_label="queries", samples=finding.samples))
    return charts
