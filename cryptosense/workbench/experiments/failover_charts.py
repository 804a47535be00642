"""The charts of `failover`: what was felt over time, where the time of recovery went, what was lost."""

from collections.abc import Sequence

from cryptosense.workbench.charts import Bar, bars, outcome_timeline, waterfall
from cryptosense.workbench.claims.claim import Judgement
from cryptosense.workbench.claims.lost_writes import account_of_writes
from cryptosense.workbench.claims.recovery import fault_of, first_good_by_instance, store_back_at
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.experiments.failover_parameters import FailoverParameters
from cryptosense.workbench.experiments.failover_scenarios import Scenario
from cryptosense.workbench.history import History, Operation, SpanKind
from cryptosense.workbench.measures import timeline

_SERVICES = {"csrf": "CSRF tokens", "limit": "rate limit", "tokens": "cached lists", "session": "sessions"}


def failover_charts(given: FailoverParameters, history: History, judgements: Sequence[Judgement]) -> Sequence[Chart]:
    """A timeline for each store, one waterfall for all failures, and the account of acknowledged writes."""
    del judgements
    charts = []
    for store in dict.fromkeys(scenario.store for scenario in given.chosen):
        ours = [scenario for scenario in given.chosen if scenario.store is store]
        names = {scenario.phase for scenario in ours}
        asked = [
            op for op in history.operations() if op.phase in names and _service(op) in _SERVICES and not _expected(op)
        ]
        faults = [span for span in history.spans(SpanKind.FAULT) if span.labels.get("phase") in names]
        table = timeline(asked, group=lambda op: _SERVICES[_service(op)])
        charts.append(outcome_timeline(f"timeline_{store.value}", f"What users felt on {store.value}", table, faults))
    rows = [(scenario.label, steps) for scenario in given.chosen if (steps := recovery_steps(history, scenario))]
    if rows:
        charts.append(waterfall("recovery", "Where the time of recovery went", rows))
    counts = [(scenario, account_of_writes(history, phase=scenario.phase)) for scenario in given.chosen]
    found = [Bar(scenario.name, "lost", float(len(account.lost))) for scenario, account in counts]
    total = sum(account.acknowledged for _, account in counts)
    charts.append(
        bars(
            "lost_writes",
            "Acknowledged writes lost",
            found,
            y_label="writes",
            samples=f"{total:,} acknowledged",
        )
    )
    return charts


def _service(operation: Operation) -> str:
    return operation.kind.split(".")[0]


def _expected(operation: Operation) -> bool:
    """Refusals that are right: a replayed token, and a client over its limit."""
    return operation.status == 429 or bool(operation.sent.get("replay") and operation.status == 403)


def recovery_steps(history: History, scenario: Scenario) -> list[tuple[str, float]]:
    """Seconds from the fault to its detection, to a primary, to the first instance that found it, to good writes.

    Detected is when an instance or the sentinels first noticed it, whoever came first.

    Each step begins where the one before ended; one that was over before that counts 0 s. Empty without a fault.
    """
    fault = fault_of(history, scenario.phase)
    if fault is None:
        return []
    posts = history.operations("csrf.post", phase=scenario.phase)
    refused = [op.completed_at for op in posts if op.status == 503 and op.completed_at >= fault.started_at]
    degraded = [
        (reading.at, reading.value)
        for reading in history.observations("ready.degraded", phase=scenario.phase)
        if reading.at >= fault.started_at
    ]
    noticed = refused[:1] + [at for at, value in degraded if value][:1]
    noticed += [step.at for step in history.observations("election", step="down") if step.at >= fault.started_at][:1]
    back = store_back_at(history, scenario.phase, fault)
    if back is None or not noticed:
        return []
    detected = min(noticed)
    found = min([at for at, value in degraded if not value and at > max(detected, back)], default=back)
    firsts = [at for at in first_good_by_instance(posts, since=back).values() if at is not None]
    if not firsts:
        return []
    ends = [detected, back, min(found, *firsts), min(firsts), max(firsts)]
    names = ["detect", "elect or restart", "rediscover", "write on the first instance", "write on the last"]
    steps, before = [], fault.started_at
    for name, end in zip(names, ends, strict=True):
        steps.append((name, max(0.0, end - before)))
        before = max(before, end)
    return steps
