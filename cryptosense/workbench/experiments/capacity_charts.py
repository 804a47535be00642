"""The charts of `capacity`: memory and shards against users, and what one user's parts take."""

from collections.abc import Sequence

from cryptosense.workbench.charts import Bar, Panel, Series, Threshold, bars, lines
from cryptosense.workbench.claims.costs import by_identities
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.experiments.capacity_parameters import (
    MANY,
    ONE,
    PLANNED_DENIED,
    PLANNED_FULL,
    USER,
    CapacityParameters,
    shards_for,
)
from cryptosense.workbench.history import History

_PARTS = {
    "csrf": "CSRF token",
    "session": "session",
    "limit-log": "1 admission",
    "limit-gcra": "GCRA",
    "limit-counter": "counter",
    "limit-full": "100 of 100",
    "limit-denied": "after denials",
    PLANNED_FULL: "plan, 100 of 100",
    PLANNED_DENIED: "plan, after denials",
}


def capacity_charts(given: CapacityParameters, history: History) -> Sequence[Chart]:
    """Measured points and, dashed and hollow, what is reckoned from the last of them."""
    memory, shards = list[Series](), list[Series]()
    for store in (ONE, MANY):
        costs = by_identities(history, "capacity.bytes", what="user", store=store)
        if not costs:
            continue
        users = [float(number) for number in costs]
        each = list(costs.values())[-1]
        memory.append(Series(store, users, [number * cost / 1e9 for number, cost in costs.items()]))
        beyond = _decades(users[-1], given.extrapolate_to)
        memory.append(Series(store, beyond, [number * each / 1e9 for number in beyond], kind="extrapolated"))
        reckoned = [float(shards_for(int(number), each, given.shard_gb)) for number in beyond]
        shards.append(Series(store, beyond, reckoned, kind="extrapolated"))
    panels = [
        Panel("Memory", "users", "GB", memory, log_x=True, log_y=True, unit=" GB"),
        Panel(f"Shards of {given.shard_gb:g} GB", "users", "shards", shards, log_x=True, log_y=True),
    ]
    return [lines("memory", "Memory and shards against users", panels), *_parts(given, history)]


def _parts(given: CapacityParameters, history: History) -> list[Chart]:
    found = []
    for what, label in _PARTS.items():
        costs = by_identities(history, "capacity.bytes", what=what, store=ONE)
        if costs:
            found.append(Bar(label, "bytes", list(costs.values())[-1]))
    if not found:
        return []
    threshold = Threshold(2_100, "goal for a client at its limit")
    samples = f"{given.identities[-1]:,} users, {len(USER)} parts each"
    title = "What one identity takes in Redis, keys included"
    return [bars("parts", title, found, y_label="bytes", thresholds=[threshold], samples=samples, log_y=True)]


def _decades(first: float, last: float) -> list[float]:
    """From the last measured number to the one reckoned for, ten times as many at each step."""
    numbers = [first]
    while numbers[-1] * 10 < last:
        numbers.append(numbers[-1] * 10)
    return [*numbers, float(last)]
