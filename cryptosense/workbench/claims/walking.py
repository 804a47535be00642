"""Claims about a walk through the migration's stages.

Observations: `flip.seconds` and `flip.restarts` (label `flip`), `rollback.debt` (labels `before`, `service`),
`state.differences` (labels `before`, `service`, `kind`), `log.errors` (labels `phase`, `instance`).
"""

from collections.abc import Sequence

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.csrf_model import Guard, guard_of
from cryptosense.workbench.claims.noise import unless_noisy
from cryptosense.workbench.claims.reading import acquitted, convicted, nothing_to_judge, select, skip_reason, told
from cryptosense.workbench.history import History, Observation, Operation, Span, SpanKind


def walked_without_restart(flips: Sequence[str], *, phase: str) -> Checker:
    """STAGE-1: every flip was reached, each by the process that was running."""

    def check(history: History) -> Finding:
        seconds = {reading.labels["flip"]: reading.value for reading in history.observations("flip.seconds")}
        if not seconds:
            return undecided(skip_reason(history, phase) or "no stage was switched", expected=len(flips), unit="flips")
        told_restarts = history.observations("flip.restarts")
        if {reading.labels["flip"] for reading in told_restarts} < set(seconds):
            return undecided("whether a flip needed a restart was not looked at", expected=len(flips), unit="flips")
        restarts = [reading for reading in told_restarts if reading.value]
        reached = [name for name in flips if name in seconds]
        unit, samples = "flips without a restart", len(seconds)
        if len(reached) < len(flips) or restarts:
            missing = ", ".join(name for name in flips if name not in seconds) or "none"
            reason = (
                f"{len(reached)} of {len(flips)} flips were reached ({missing} missing), {len(restarts)} by a restart"
            )
            return convicted(
                reason, [], expected=len(flips), observed=len(reached) - len(restarts), unit=unit, samples=samples
            )
        reason = f"all flips were reached, the slowest in {max(seconds.values()):.2f} s"
        return acquitted(reason, expected=len(flips), observed=len(reached), unit=unit, samples=samples)

    return check


def unnoticed_while_other_side_fails(*, phase: str, bound_s: float) -> Checker:
    """STAGE-2: while the side that does not count fails, nobody is refused, unanswered or kept beyond the bound.

    It holds only where a request was under way while the failure had more than `bound_s` yet to last: one that waits
    for the other side without a bound is answered, too, once that answers again.
    """

    def check(history: History) -> Finding:
        faults = history.spans(SpanKind.FAULT)
        asked = [item for item in history.operations(phase=phase) if any(_across(fault, item) for fault in faults)]
        if not asked:
            return nothing_to_judge(history, phase, "request during the failure of the other side", expected=0)
        failed = [item for item in asked if item.status is None or item.status >= 500 or item.status in {401, 403}]
        unit, samples = "failed or late requests", len(asked)
        cause = (
            "while only the side that does not count was out of order; the usual cause is that both writes must "
            "succeed, or that the first of them waits for the second without a bound"
        )
        if failed:
            reason = f"{told(failed[0])} {cause}"
            return convicted(reason, failed[:1], expected=0, observed=len(failed), unit=unit, samples=samples)
        slowest = max(asked, key=_lasted)
        if _lasted(slowest) > bound_s:
            late = sum(_lasted(item) > bound_s for item in asked)
            reason = f"{told(slowest)} only after {_lasted(slowest):.2f} s {cause}"
            finding = convicted(reason, [slowest], expected=0, observed=late, unit=unit, samples=samples)
            return unless_noisy(finding, history, slowest.invoked_at, slowest.completed_at)
        exposed = [item for item in asked if any(_exposed(fault, item, bound_s) for fault in faults)]
        if not exposed:
            reason = f"no request was under way with {bound_s:g} s of the failure to come, so no wait could show"
            return undecided(reason, expected=0, unit=unit, samples=samples)
        reason = (
            f"{samples} requests while the other side did not answer, {len(exposed)} of them when {bound_s:g} s of it "
            f"were yet to come, all served, the slowest in {_lasted(slowest):.2f} s"
        )
        return acquitted(reason, expected=0, observed=0, unit=unit, samples=samples)

    return check


def _across(span: Span, operation: Operation) -> bool:
    """Whether it was under way in the span."""
    return operation.completed_at >= span.started_at and operation.invoked_at <= span.ended_at


def _exposed(fault: Span, operation: Operation, bound_s: float) -> bool:
    """Whether it was under way while the fault had more than the bound yet to last."""
    return _across(fault, operation) and fault.ended_at - max(operation.invoked_at, fault.started_at) > bound_s


def _lasted(operation: Operation) -> float:
    return operation.completed_at - operation.invoked_at


def others_are_served(*, phase: str, beside: str) -> Checker:
    """While each span `beside NAME` lasts, every request of the phase is served: not refused, not failed, answered.

    It holds only where in every such span somebody asked for something and was answered.
    """

    def check(history: History) -> Finding:
        spans = [span for span in history.spans(SpanKind.PHASE) if span.name.startswith(f"{beside} ")]
        asked = [item for item in history.operations(phase=phase) if any(_across(span, item) for span in spans)]
        if not asked:
            return nothing_to_judge(history, phase, "request to another instance meanwhile", expected=0)
        wrong = [item for item in asked if item.status is None or item.status >= 400]
        unit, samples = "requests not served", len(asked)
        if wrong:
            refused = [item for item in wrong if item.status in {401, 403}]
            reason = (
                f"{told((refused or wrong)[0])} from an instance whose turn had not come; the usual cause is a state "
                "that one instance takes from all, or a start that clears what the others use"
            )
            finding = convicted(
                reason, (refused or wrong)[:1], expected=0, observed=len(wrong), unit=unit, samples=samples
            )
            ended = max(item.completed_at for item in wrong)
            return unless_noisy(finding, history, wrong[0].invoked_at, ended, gross=bool(refused))
        quiet = [
            span for span in spans if not any(span.started_at <= item.invoked_at <= span.ended_at for item in asked)
        ]
        if quiet:
            reason = f"nothing was asked of the others during {len(quiet)} of {len(spans)} restarts"
            return undecided(reason, expected=0, unit=unit, samples=samples)
        reason = f"{samples} requests to the others while {len(spans)} were restarted, all served"
        return acquitted(reason, expected=0, observed=0, unit=unit, samples=samples)

    return check


def differences_are_counted(service: str, *, before: str, after: str) -> Checker:
    """STAGE-4: asking for something that one side lacks raises the count of differences of its service."""

    def check(history: History) -> Finding:
        first, last = (
            _sum(history.observations("state.differences", before=moment, service=service))
            for moment in (before, after)
        )
        told_at_all = history.observations("state.differences", before=after)
        read_at_all = history.operations("metrics.read")
        asked = [item for item in select(history, "session.use", phase="one-sided") if item.status is not None]
        if not read_at_all or not asked:
            return undecided("nothing was asked that one side lacks", expected="at least 1")
        counted = last - first
        unit, samples = f"differences of {service}", len(asked)
        if counted < 1:
            reason = "a session that only one side knows was asked for while both are compared, and nothing was counted"
            return convicted(reason, [], expected="at least 1", observed=counted, unit=unit, samples=samples)
        kinds = {reading.labels.get("kind", "") for reading in told_at_all if reading.labels.get("service") == service}
        reason = f"{counted:.0f} differences were counted ({', '.join(sorted(kinds))})"
        return acquitted(reason, expected="at least 1", observed=counted, unit=unit, samples=samples)

    return check


def debt_was_told(service: str, *, before: str, phase: str) -> Checker:
    """STAGE-5: no more tokens were lost in the rollback than the service had said that it would lose.

    `before` is the last reading before memory counted again; what is lost are the refusals of the newest token in
    `phase`, each of a session that had been left alone since. A debt above all tokens that were ever fetched is no
    figure but a guess, and where nothing was lost the debt was not put to the test.
    """

    def check(history: History) -> Finding:
        debts = history.observations("rollback.debt", before=before, service=service)
        posts = [post for post in history.operations("csrf.post", phase=phase) if post.sent.get("follows")]
        if not debts or not posts:
            return nothing_to_judge(history, phase, "debt, or no session left alone,")
        debt = _sum(debts)
        lost = [post for post in posts if guard_of(post) is Guard.REFUSED]
        unit = "tokens lost"
        if len(lost) > debt:
            reason = (
                f"{len(lost)} of {len(posts)} tokens of sessions left alone were lost in the rollback, where a debt of "
                f"{debt:.0f} had been told; first {told(lost[0])}"
            )
            return convicted(reason, lost, expected=debt, observed=len(lost), unit=unit, samples=len(posts))
        fetched = len({item.actor for item in history.operations("csrf.fetch") if item.status == 200})
        if debt > fetched:
            reason = f"a debt of {debt:.0f} tokens was told where {fetched} sessions had one"
            return convicted(
                reason, [], expected=f"at most {fetched}", observed=debt, unit="tokens told", samples=len(posts)
            )
        if not lost:
            return undecided("no token was lost, so the debt was not put to the test", unit=unit, samples=len(posts))
        reason = f"a debt of {debt:.0f} tokens was told, and {len(lost)} of the {len(posts)} left alone were lost"
        return acquitted(reason, expected=f"at most {debt:.0f}", observed=len(lost), unit=unit, samples=len(posts))

    return check


def logs_are_clean(*, phase: str) -> Checker:
    """The instances' logs tell of no error while the checks after a rollback run."""

    def check(history: History) -> Finding:
        readings = history.observations("log.errors", phase=phase)
        if not readings:
            return undecided(skip_reason(history, phase) or "no log can be read here", expected=0, unit="error lines")
        worst = max(readings, key=lambda reading: reading.value)
        total = int(_sum(readings))
        if total:
            reason = f"the log of {worst.labels['instance']} tells of {worst.value:.0f} errors after the rollback"
            return convicted(reason, [], expected=0, observed=total, unit="error lines", samples=len(readings))
        reason = f"{len(readings)} logs tell of no error"
        return acquitted(reason, expected=0, observed=0, unit="error lines", samples=len(readings))

    return check


def failed_around(history: History, phase: str, start: float, end: float, *, margin_s: float = 0.3) -> tuple[int, int]:
    """Failed and all requests of the phase that were under way from a little before `start` to a little after `end`."""
    near: list[Operation] = [
        item
        for item in history.operations(phase=phase)
        if item.completed_at >= start - margin_s and item.invoked_at <= end + margin_s
    ]
    return sum(item.status is None or item.status >= 400 for item in near), len(near)


def _sum(readings: Sequence[Observation]) -> float:
    return sum(reading.value for reading in readings)
