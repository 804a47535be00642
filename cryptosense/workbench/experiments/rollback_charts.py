"""The pictures of `rollback`: gates by flip, the debt before each, and the error rate across each."""

from collections.abc import Sequence

from cryptosense.workbench.charts import Bar, Cell, bars, matrix
from cryptosense.workbench.claims.csrf_model import Guard, guard_of
from cryptosense.workbench.claims.walking import failed_around
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.experiments.rollback_walk import WALKING, flips
from cryptosense.workbench.history import History, Span, SpanKind
from cryptosense.workbench.measures.statistics import proportion
from cryptosense.workbench.verdicts import Verdict

GATES = ("reached", "no restart", "no request failed", "no token refused", "no session lost", "debt told before")


def rollback_charts(history: History) -> Sequence[Chart]:
    """Three charts of the walk; a flip that was not made is blank in each."""
    spans = {span.name.removeprefix("flip "): span for span in history.spans(SpanKind.PHASE)}
    made = [(name, spans[name]) for name in flips() if name in spans]
    samples = len(history.operations(phase=WALKING))
    rows = {name: f"{number}  {name}" for number, name in enumerate(flips(), start=1)}
    cells = {(rows[name], gate): cell for name, span in made for gate, cell in _gates(history, name, span).items()}
    return (
        matrix("stage_gates", "What held at each flip", list(rows.values()), GATES, cells, samples=samples),
        _debt(history),
        _errors(history, made, samples),
    )


def _gates(history: History, name: str, span: Span) -> dict[str, Cell]:
    """The gates of one flip, judged on the requests under way from a little before it until the next."""
    near = [
        item
        for item in history.operations(phase=WALKING)
        if item.completed_at >= span.started_at - 0.3 and item.invoked_at <= span.ended_at + 0.3
    ]
    seconds, restarts = (
        history.observations("flip.seconds", flip=name),
        history.observations("flip.restarts", flip=name),
    )
    failed = sum(item.status is None or item.status >= 500 for item in near)
    refused = sum(item.kind == "csrf.post" and guard_of(item) is Guard.REFUSED for item in near)
    lost = sum(item.status == 401 for item in near)
    debt = sum(reading.value for reading in history.observations("rollback.debt", before=name))
    told = bool(history.observations("rollback.debt", before=name))
    return {
        GATES[0]: Cell(_held(bool(seconds)), f"{seconds[0].value:.2f} s" if seconds else ""),
        GATES[1]: Cell(_held(bool(restarts) and not restarts[0].value)),
        GATES[2]: Cell(_held(not failed), f"{failed} of {len(near)}") if near else Cell(Verdict.UNDECIDED),
        GATES[3]: Cell(_held(not refused), str(refused)) if near else Cell(Verdict.UNDECIDED),
        GATES[4]: Cell(_held(not lost), str(lost)) if near else Cell(Verdict.UNDECIDED),
        GATES[5]: Cell(Verdict.HOLDS if told else Verdict.UNDECIDED, f"{debt:.0f}" if told else ""),
    }


def _held(good: bool) -> Verdict:
    return Verdict.HOLDS if good else Verdict.VIOLATED


def _debt(history: History) -> Chart:
    found = [
        Bar(str(number), reading.labels.get("service", ""), reading.value)
        for number, name in enumerate((*flips(), "end"), start=1)
        for reading in history.observations("rollback.debt", before=name)
    ]
    title = "Rollback debt: what exists in Redis only, before each flip (11: in the end)"
    return bars("rollback_debt", title, found, y_label="live names in Redis only", samples=len(found))


def _errors(history: History, made: Sequence[tuple[str, Span]], samples: int) -> Chart:
    found, numbers = [], {name: str(number) for number, name in enumerate(flips(), start=1)}
    for name, span in made:
        failed, asked = failed_around(history, WALKING, span.started_at, span.ended_at)
        if asked:
            share = proportion(failed, asked)
            found.append(Bar(numbers[name], "refused or failed", 100 * share.value, 100 * share.low, 100 * share.high))
    title = "Requests refused or failed across each flip"
    return bars("flip_errors", title, found, y_label="refused or failed, %", unit=" %", samples=samples)
