"""Checkers of how much was carried: answered requests per second against the load that was offered.

A load step is a phase; its offered rate or concurrency stands in the span's labels. The generator says how busy it was
itself (`generator.busy`, 0 to 1, labelled with the phase); where it was the bottleneck, nothing is known of the
service.
"""

from collections import Counter

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.counts import phases
from cryptosense.workbench.claims.latency import GROSS
from cryptosense.workbench.claims.noise import unless_noisy
from cryptosense.workbench.claims.reading import (
    acquitted,
    convicted,
    declared,
    denied,
    honest_refusals,
    nothing_to_judge,
    told,
)
from cryptosense.workbench.history import History, Operation, Outcome, Span
from cryptosense.workbench.verdicts import Verdict

BUSY = 0.9
"""Share of its processor above which a generator counts as the bottleneck."""

_AT_CEILING = 0.9
"""A step that carried this share of what was granted was held back by that and not by the service."""


def ceiling_rate(history: History, phase: str) -> float | None:
    """Requests a second that the user granted for the phase; None where nothing is metered."""
    return declared(history, "ceiling.rate", phase=phase)


def carried_per_second(history: History, kind: str, span: Span) -> float:
    """Answered requests per second of the span; refusals by the limiter (429) are answers."""
    answered = [
        operation
        for operation in history.operations(kind, phase=span.name)
        if operation.status is not None and operation.status < 500
    ]
    if not answered:
        return 0.0
    first = min(operation.invoked_at for operation in answered)
    last = max(operation.completed_at for operation in answered)
    return len(answered) / max(last - first, 1e-9)


def generator_busy(history: History, phase: str) -> float | None:
    """The busiest that the generator said it was in that phase; None where it said nothing."""
    readings = [reading.value for reading in history.observations("generator.busy", phase=phase)]
    return max(readings, default=None)


def every_request_answered(
    kind: str, *, phase: str, limited_too: bool = True, refused_load: Verdict = Verdict.VIOLATED
) -> Checker:
    """Checks that nothing in the phases of that name failed: each got an answer, and none of 500 or above.

    A 429 is an answer too, unless `limited_too` is false because nobody asked more than the limit allows. An honest
    503 is a failure where little is asked. Under a load that may be more than anybody promised to carry it is refused
    load: `refused_load` says what such answers come to, UNDECIDED where all were to be served, HOLDS where the load is
    raised until something gives. They never acquit alone: where nothing was served, nothing is known.
    """

    def check(history: History) -> Finding:
        operations = [op for span in phases(history, phase) for op in history.operations(kind, phase=span.name)]
        if not operations:
            return nothing_to_judge(history, phase, kind, expected=0)
        honest = honest_refusals(history) if refused_load is not Verdict.VIOLATED else _never
        refused = [op for op in operations if honest(op)]
        bad = [op for op in operations if op.status is None or (op.status >= 500 and not honest(op))]
        bad += [op for op in operations if op.status == 429 and not limited_too]
        if bad:
            ways = Counter("no answer" if op.status is None else str(op.status) for op in bad)
            return convicted(
                f"{len(bad)} of {len(operations)} requests failed ({_listed(ways)}); the first: {told(bad[0])}",
                bad[:3],
                expected=0,
                observed=len(bad),
                unit="failed requests",
                samples=len(operations),
            )
        statuses = Counter(str(op.status) for op in operations)
        if refused and (refused_load is Verdict.UNDECIDED or len(refused) == len(operations)):
            return undecided(
                f"{len(refused)} of {len(operations)} requests were refused with an honest 503: more came at once than "
                "is taken here, and how much is promised nobody says; ask for less (fewer users, a lower --max-rate)",
                expected=0,
                unit="failed requests",
                samples=len(operations),
            )
        shed = "; each 503 named itself and said when to come again, which is refused load" if refused else ""
        return acquitted(
            f"{len(operations)} requests, all answered ({_listed(statuses)}){shed}",
            expected=0,
            observed=0,
            unit="failed requests",
            samples=len(operations),
        )

    return check


def _never(_operation: Operation) -> bool:
    return False


def every_request_served(kind: str, *, phase: str) -> Checker:
    """Checks that each request of the phases of that name got what it asked for: an answer of 2xx, and no refusal."""

    def check(history: History) -> Finding:
        operations = [op for span in phases(history, phase) for op in history.operations(kind, phase=span.name)]
        if not operations:
            return nothing_to_judge(history, phase, kind, expected=0)
        bad = [op for op in operations if op.status is None or not 200 <= op.status < 300]
        statuses = _listed(Counter("no answer" if op.status is None else str(op.status) for op in operations))
        if bad:
            return convicted(
                f"{len(bad)} of {len(operations)} requests were not served ({statuses}); the first: {told(bad[0])}",
                bad[:3],
                expected=0,
                observed=len(bad),
                unit="requests not served",
                samples=len(operations),
            )
        return acquitted(
            f"{len(operations)} requests, all served ({statuses})",
            expected=0,
            observed=0,
            unit="requests not served",
            samples=len(operations),
        )

    return check


def throughput_holds(kind: str, *, phase: str, at_least: float) -> Checker:
    """Checks that the steepest step of a sweep carries at least `at_least` of what the best step carried.

    A service that collapses under load carries less the more it is asked. Where what may be sent is granted
    (`ceiling.rate`) and the lightest step came up to that already, more was never asked, and that can convict only.
    """

    def check(history: History) -> Finding:
        steps = [span for span in phases(history, phase) if history.operations(kind, phase=span.name)]
        if len(steps) < 2:
            return nothing_to_judge(history, phase, "sweep of two steps or more", expected=at_least)
        carried = [carried_per_second(history, kind, span) for span in steps]
        if max(carried) <= 0:
            return undecided("no request of the sweep was answered", expected=at_least)
        busy = generator_busy(history, steps[-1].name)
        if busy is not None and busy > BUSY:
            return undecided(f"the generator itself was {busy:.0%} busy in the last step", expected=at_least)
        share = carried[-1] / max(carried)
        samples = sum(len(history.operations(kind, phase=span.name)) for span in steps)
        ceiling = ceiling_rate(history, steps[0].name)
        if share >= at_least and ceiling is not None and carried[0] >= _AT_CEILING * ceiling:
            return undecided(
                f"the lightest step carried the {ceiling:g} requests a second that were granted, so none was a heavier "
                "load: raise --max-rate",
                expected=f"at least {at_least:g}",
                samples=samples,
            )
        series = ", ".join(f"{rate:.0f}/s" for rate in carried)
        finding = Finding(
            Verdict.HOLDS if share >= at_least else Verdict.VIOLATED,
            f"at least {at_least:g}",
            round(share, 3),
            "of the best step",
            samples,
            f"carried {series} from the lightest step to the heaviest",
        )
        gross = share < at_least / GROSS
        return unless_noisy(finding, history, steps[0].started_at, steps[-1].ended_at, gross=gross)

    return check


def keeps_up(kind: str, *, phase: str, at_least: float, patience_s: float = 1.0) -> Checker:
    """Checks that of the requests that a schedule wanted sent, such a share was answered well within `patience_s`.

    Patience counts from the intended moment, so requests that queue up behind a slow service are not kept up with.
    Where only the deployment's own limit (429) stands between the share and the promise, nothing is known.
    """

    def check(history: History) -> Finding:
        spans = phases(history, phase)
        operations = [op for span in spans for op in history.operations(kind, phase=span.name)]
        if not operations:
            return nothing_to_judge(history, phase, kind, expected=at_least)
        busy = max((generator_busy(history, span.name) or 0.0 for span in spans), default=0.0)
        good = [op for op in operations if op.outcome is Outcome.OK and op.latency <= patience_s]
        share = len(good) / len(operations)
        if share < at_least and busy > BUSY:
            return undecided(f"the generator itself was {busy:.0%} busy", expected=at_least, samples=len(operations))
        limited = sum(map(denied, operations))
        if share < at_least <= (len(good) + limited) / len(operations):
            return undecided(
                f"{limited} of {len(operations)} requests were denied by the deployment's own limit (429): it needs "
                "clients that the limit tells apart, or a limit that is out of the way for the run",
                expected=f"at least {at_least:.0%}",
                samples=len(operations),
            )
        offered = spans[0].labels.get("offered")
        figure = f"; {float(offered):.0f} a second were due" if offered else ""
        finding = Finding(
            Verdict.HOLDS if share >= at_least else Verdict.VIOLATED,
            f"at least {at_least:.0%}",
            round(share, 4),
            "share answered in time",
            len(operations),
            f"{len(good)} of {len(operations)} scheduled requests were answered well within {patience_s:g} s of the "
            f"moment when they were due{figure}",
        )
        gross = share < at_least / GROSS
        return unless_noisy(finding, history, spans[0].started_at, spans[-1].ended_at, gross=gross)

    return check


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} of {name}" for name, count in sorted(counts.items()))
