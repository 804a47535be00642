"""A history as tidy data frames: one row an event, one column a variable."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cryptosense.workbench.history import History, Observation, Operation, Outcome, SpanKind

_OPERATION_COLUMNS = [
    "id",
    "kind",
    "phase",
    "actor",
    "instance",
    "invoked_at",
    "completed_at",
    "intended_at",
    "latency_ms",
    "outcome",
    "status",
]


def operations(history: History, kind: str | None = None, *, fields: bool = False) -> pd.DataFrame:
    """One row an operation, by the time of its call.

    Columns: id, kind, phase, actor, instance, invoked_at, completed_at, intended_at (seconds of the history),
    latency_ms (from the intended moment where there was one), outcome (ok, failed, unknown), status. With `fields`
    also what was sent and got, each value in a column `sent_<name>` or `got_<name>`.
    """
    found = history.operations(kind)
    rows = [{**_operation_row(operation), **(_fields(operation) if fields else {})} for operation in found]
    table = pd.DataFrame(rows, columns=None if rows else _OPERATION_COLUMNS)
    return table.astype({"status": "Int64"}) if rows else table


def observations(history: History, name: str | None = None) -> pd.DataFrame:
    """One row an observation, by time. Columns: name, at (seconds), value, and `label_<name>` for each label."""
    found = sorted(
        (event for event in history.events if isinstance(event, Observation) and name in (None, event.name)),
        key=lambda observation: observation.at,
    )
    rows = [{"name": event.name, "at": event.at, "value": event.value, **_labels(event.labels)} for event in found]
    return pd.DataFrame(rows, columns=None if rows else ["name", "at", "value"])


def spans(history: History, kind: SpanKind | None = None) -> pd.DataFrame:
    """One row a phase or fault. Columns: kind, name, started_at, ended_at, seconds, and `label_<name>`."""
    rows = [
        {
            "kind": str(span.kind),
            "name": span.name,
            "started_at": span.started_at,
            "ended_at": span.ended_at,
            "seconds": span.ended_at - span.started_at,
            **_labels(span.labels),
        }
        for span in history.spans(kind)
    ]
    return pd.DataFrame(rows, columns=None if rows else ["kind", "name", "started_at", "ended_at", "seconds"])


def timeline(
    found: Sequence[Operation],
    *,
    group: Callable[[Operation], str] = lambda operation: operation.kind.split(".")[0],
    bin_s: float | None = None,
) -> pd.DataFrame:
    """How operations ended, in equal stretches of time.

    One row a group and stretch that begins within the whole time covered, empty ones included. Columns: group, at
    (the stretch's beginning, by the moment of the call), seconds (its length), ok, failed, unknown. Without `bin_s`
    they are round, at most 120, and wide enough to hold a few operations each.
    """
    columns = ["group", "at", "seconds", *map(str, Outcome)]
    if not found:
        return pd.DataFrame(columns=columns)
    first = min(operation.invoked_at for operation in found)
    last = max(operation.invoked_at for operation in found)
    groups = list(dict.fromkeys(group(operation) for operation in found))
    # Stretches that hold two operations or so on average: narrower ones show the load's rhythm, not the service.
    width = bin_s or nice_bin(last - first, at_most=max(20, min(120, len(found) // (2 * len(groups)))))
    start = np.floor(first / width)
    stretches = int(np.floor(last / width) - start) + 1
    counts = {name: {str(outcome): np.zeros(stretches, dtype=int) for outcome in Outcome} for name in groups}
    for operation in found:
        place = int(np.floor(operation.invoked_at / width) - start)
        counts[group(operation)][str(operation.outcome)][place] += 1
    begins = (start + np.arange(stretches)) * width
    return pd.concat(
        [pd.DataFrame({"group": name, "at": begins, "seconds": width, **counts[name]}) for name in groups],
        ignore_index=True,
    )[columns]


def nice_bin(seconds: float, *, at_most: int = 120) -> float:
    """The shortest of 1, 2, 5, 10, ... (and their tenths and hundredths) that cuts `seconds` into at most so many."""
    for exponent in range(-3, 6):
        for step in (1, 2, 5):
            width = float(step * 10**exponent) if exponent >= 0 else step / 10**-exponent
            if seconds / width <= at_most:
                return width
    return seconds / at_most


def _operation_row(operation: Operation) -> dict[str, Any]:
    return {
        "id": operation.id,
        "kind": operation.kind,
        "phase": operation.phase,
        "actor": operation.actor,
        "instance": operation.instance,
        "invoked_at": operation.invoked_at,
        "completed_at": operation.completed_at,
        "intended_at": operation.intended_at,
        "latency_ms": operation.latency * 1000,
        "outcome": str(operation.outcome),
        "status": operation.status,
    }


def _fields(operation: Operation) -> dict[str, Any]:
    return {f"sent_{name}": value for name, value in operation.sent.items()} | {
        f"got_{name}": value for name, value in operation.got.items()
    }


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {f"label_{name}": value for name, value in labels.items()}
