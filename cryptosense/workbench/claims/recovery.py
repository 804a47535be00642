"""Checkers of what users feel while the store fails, and how soon it is over.

A scenario is a phase; its fault is a span of kind FAULT whose label `phase` names the scenario. `store.answers` (0 or
1) is what the run itself found on asking the store for its primary.
"""

from collections import Counter

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.latency import GROSS
from cryptosense.workbench.claims.lost_writes import account_of_writes, explained
from cryptosense.workbench.claims.noise import unless_noisy
from cryptosense.workbench.claims.reading import (
    acquitted,
    admitted,
    convicted,
    honest_refusals,
    nothing_to_judge,
    select,
    told,
)
from cryptosense.workbench.history import History, Operation, Outcome, Span, SpanKind
from cryptosense.workbench.measures import surely_in_one_window
from cryptosense.workbench.verdicts import Verdict

_SOON_S = 0.5


def fault_of(history: History, phase: str) -> Span | None:
    """The scenario's fault, from injection to cure."""
    return next((span for span in history.spans(SpanKind.FAULT) if span.labels.get("phase") == phase), None)


def store_back_at(history: History, phase: str, fault: Span) -> float | None:
    """When the store was first found answering again after the fault had silenced it.

    A fault that never silences the store (a script flush) leaves it answering: that is the fault's own beginning. A
    single answer that comes too late after the cure is the machine's doing and no silence.
    """
    readings = [item for item in history.observations("store.answers", phase=phase) if item.at >= fault.started_at]
    silent = [item.at for item in readings if item.value == 0 and item.at <= fault.ended_at + _SOON_S]
    if not silent:
        return fault.started_at if readings else None
    return next((item.at for item in readings if item.value == 1 and item.at > silent[0]), None)


def only_honest_refusals(*kinds: str, phase: str) -> Checker:
    """Checks that no answer is of 500 or above save a 503 that names what is missing and says when to come again."""

    def check(history: History) -> Finding:
        operations = select(history, *kinds, phase=phase)
        if not operations:
            return nothing_to_judge(history, phase, "operation", expected=0)
        honest = honest_refusals(history)
        lies = [op for op in operations if op.status is not None and op.status >= 500 and not honest(op)]
        refused = sum(op.status == 503 for op in operations)
        if lies:
            return convicted(
                f"{len(lies)} answers of 500 or above are no honest 503, first {told(lies[0])}: an error of the driver "
                "reaches the wire, or the 503 lacks its code or Retry-After",
                lies[:3],
                expected=0,
                observed=len(lies),
                unit="dishonest answers",
                samples=len(operations),
            )
        return acquitted(
            f"{len(operations)} answers, {refused} of them an honest 503 and nothing else of 500 or above",
            expected=0,
            observed=0,
            unit="dishonest answers",
            samples=len(operations),
        )

    return check


def answers_within(*kinds: str, phase: str, bound_s: float) -> Checker:
    """Checks that every request of the scenario is answered, whatever the answer, within the bound."""

    def check(history: History) -> Finding:
        operations = select(history, *kinds, phase=phase)
        if not operations:
            return nothing_to_judge(history, phase, "operation", expected=bound_s)
        slowest = max(operations, key=lambda op: op.completed_at - op.invoked_at)
        longest = slowest.completed_at - slowest.invoked_at
        unanswered = [op for op in operations if op.status is None]
        kept = longest <= bound_s and not unanswered
        finding = Finding(
            Verdict.HOLDS if kept else Verdict.VIOLATED,
            f"at most {bound_s:g}",
            round(longest, 3),
            "s, the slowest answer",
            len(operations),
            f"the slowest of {len(operations)} requests was {told(slowest)}; {len(unanswered)} were never answered"
            + ("" if kept else ": state calls wait for a silent store without a deadline that they share"),
            evidence=() if kept else ((unanswered or [slowest])[0].id,),
        )
        gross = longest > GROSS * bound_s
        return unless_noisy(finding, history, slowest.invoked_at, slowest.completed_at, gross=gross)

    return check


def writes_again_within(kind: str, *, phase: str, bound_s: float, since_store_answers: bool) -> Checker:
    """Checks how long after the fault's injection (or the store's first answer) every instance did a good write."""

    def check(history: History) -> Finding:
        fault = fault_of(history, phase)
        posts = history.operations(kind, phase=phase)
        if fault is None or not posts:
            return nothing_to_judge(history, phase, "fault with writes around it", expected=bound_s)
        back = store_back_at(history, phase, fault)
        if back is None:
            return undecided("the store was not found answering again within the run", expected=bound_s, unit="s")
        origin = back if since_store_answers else fault.started_at
        firsts = first_good_by_instance(posts, since=back)
        waited = {where: moment - origin for where, moment in firsts.items() if moment is not None}
        missing = sorted(set(firsts) - set(waited))
        longest = max(waited.values(), default=float("inf"))
        kept = not missing and longest <= bound_s
        starting = "the store's first answer" if since_store_answers else "the fault"
        reason = f"first good write {_seconds(waited)} after {starting}, by instance"
        reason += f"; {len(missing)} instances did none any more" if missing else ""
        finding = Finding(
            Verdict.HOLDS if kept else Verdict.VIOLATED,
            f"at most {bound_s:g}",
            round(longest, 3) if waited else "never",
            "s",
            len(firsts),
            reason,
        )
        given_time = posts[-1].completed_at - origin
        gross = (longest if not missing else given_time) > GROSS * bound_s
        return unless_noisy(finding, history, origin, posts[-1].completed_at, gross=gross)

    return check


def hands_back_within(*, phase: str, bound_s: float) -> Checker:
    """Checks how long after the store's first answer any instance still said that a fallback decides.

    Read off the instances' own readiness (`ready.degraded`), so only where they tell it.
    """

    def check(history: History) -> Finding:
        fault = fault_of(history, phase)
        back = None if fault is None else store_back_at(history, phase, fault)
        readings = [] if back is None else history.observations("ready.degraded", phase=phase)
        later = [reading for reading in readings if back is not None and reading.at >= back]
        if back is None or not later:
            return nothing_to_judge(history, phase, "readiness after the store was back", expected=bound_s)
        last = max((reading.at for reading in later if reading.value), default=back)
        waited = last - back
        if waited <= bound_s and later[-1].at - back < bound_s:
            return undecided(f"readiness was read for {later[-1].at - back:.1f} s only", expected=bound_s, unit="s")
        finding = Finding(
            Verdict.HOLDS if waited <= bound_s else Verdict.VIOLATED,
            f"at most {bound_s:g}",
            round(waited, 3),
            "s",
            len(later),
            f"the last instance said for {waited:.2f} s after the store's first answer that a fallback decides",
        )
        return unless_noisy(finding, history, back, later[-1].at, gross=waited > GROSS * bound_s)

    return check


def first_good_by_instance(posts: list[Operation], *, since: float) -> dict[str, float | None]:
    """When each instance first completed a good write that was asked for after `since`."""
    firsts: dict[str, float | None] = {post.instance: None for post in posts}
    for post in sorted(posts, key=lambda operation: operation.completed_at):
        if firsts[post.instance] is None and post.outcome is Outcome.OK and post.completed_at >= since:
            firsts[post.instance] = post.completed_at
    return firsts


def _seconds(waited: dict[str, float]) -> str:
    return ", ".join(f"{seconds:.2f} s" for seconds in sorted(waited.values())) or "never"


def no_unexplained_false_accept(*, phase: str, window_s: float) -> Checker:
    """Checks that a used token never passes again, save where the fault lost the very write that used it up.

    That write can have been lost where it was acknowledged within `window_s` of the fault, and the token passed after
    the fault began; it is then in the account of lost writes too.
    """

    def check(history: History) -> Finding:
        posts = select(history, "csrf.post", phase=phase)
        replays = [op for op in posts if op.sent.get("replay") and op.status is not None and op.status < 500]
        if not replays:
            return nothing_to_judge(history, phase, "replayed token", expected=0)
        fault = fault_of(history, phase)
        accepts = account_of_writes(history, phase=phase).false_accepts
        unexplained = [accept for accept in accepts if not explained(accept, fault, window_s)]
        if unexplained:
            first = unexplained[0]
            return convicted(
                f"a token used up by {told(first.spent_by)} passed again with {told(first.accepted)}, and no fault "
                "lies between that could have lost the write",
                [first.spent_by, first.accepted],
                expected=0,
                observed=len(unexplained),
                unit="unexplained false accepts",
                samples=len(replays),
            )
        return acquitted(
            f"{len(replays)} replays of used tokens; {len(accepts)} passed, each explained by a counted lost write",
            expected=0,
            observed=0,
            unit="unexplained false accepts",
            samples=len(replays),
        )

    return check


def writes_accounted_for(*, phase: str, at_most: int | None = None, window_s: float = 0.0) -> Checker:
    """Checks what became of every acknowledged write.

    With `at_most` no more may be lost. Without it (asynchronous replication may lose some) each lost one must have
    been acknowledged within `window_s` of the fault, which is how long a primary goes on without its replicas: older
    ones had been replicated.
    """

    def check(history: History) -> Finding:
        account = account_of_writes(history, phase=phase)
        fault = fault_of(history, phase)
        expected = f"at most {at_most}" if at_most is not None else "each counted, none old"
        if fault is None or not account.acknowledged:
            return nothing_to_judge(history, phase, "acknowledged write", expected=expected)
        if account.unread:
            return undecided(
                f"what {len(account.unread)} sessions hold could not be read afterwards",
                expected=expected,
                samples=account.acknowledged,
            )
        old = [
            loss
            for loss in account.lost
            if not fault.started_at - window_s <= loss.acknowledged.completed_at <= fault.ended_at + window_s
        ]
        guilty = old if at_most is None else account.lost if len(account.lost) > at_most else []
        told_count = f"{len(account.lost)} of {account.acknowledged} acknowledged writes were lost"
        if guilty:
            first = guilty[0]
            return convicted(
                f"{told_count}, among them {told(first.acknowledged)}, as {told(first.revealed_by)} shows",
                [first.acknowledged, first.revealed_by],
                expected=expected,
                observed=len(account.lost),
                unit="lost writes",
                samples=account.acknowledged,
            )
        return acquitted(
            told_count,
            expected=expected,
            observed=len(account.lost),
            unit="lost writes",
            samples=account.acknowledged,
        )

    return check


def admissions_within_insurance(
    kind: str, *, phase: str, actor: str, limit: int, window_s: float, insurance: int
) -> Checker:
    """Checks every window: at most `limit` admissions, and `limit + insurance` in one that the outage touches."""

    def check(history: History) -> Finding:
        fault = fault_of(history, phase)
        probes = [op for op in select(history, kind, phase=phase, actor=actor) if admitted(op)]
        refused = sum(op.status == 429 for op in select(history, kind, phase=phase, actor=actor))
        if fault is None or not probes:
            return nothing_to_judge(history, phase, "admitted probe of the limit", expected=limit + insurance)
        if not refused:
            return undecided("no probe was refused, so the limit was not reached", expected=limit + insurance)
        back = store_back_at(history, phase, fault) or fault.ended_at
        over = max(back, fault.ended_at) + 2.0  # CONN-2: by then decisions are the store's again
        calm = (
            [op for op in probes if op.completed_at < fault.started_at],
            [op for op in probes if op.invoked_at > over],
        )
        for part, bound in ((calm[0], limit), (calm[1], limit), (probes, limit + insurance)):
            together = _in_one_window(part, window_s)
            if len(together) > bound:
                return convicted(
                    f"one window of {window_s:g} s surely holds {len(together)} admissions of one client",
                    together[: bound + 1],
                    expected=f"at most {bound}",
                    observed=len(together),
                    unit="admissions in a window",
                    samples=len(probes) + refused,
                )
        most = len(_in_one_window(probes, window_s))
        return acquitted(
            f"the busiest window holds {most} admissions; the limit is {limit}, and an outage adds at most {insurance}",
            expected=f"at most {limit + insurance}",
            observed=most,
            unit="admissions in a window",
            samples=len(probes) + refused,
        )

    return check


def _in_one_window(operations: list[Operation], window_s: float) -> list[Operation]:
    places = surely_in_one_window(
        [op.invoked_at for op in operations], [op.completed_at for op in operations], window_s
    )
    return [operations[place] for place in places]


def well_again(*kinds: str, phase: str, settle_s: float = 2.0) -> Checker:
    """Checks the hypothesis again after the cure: from `settle_s` after it nothing fails any more."""

    def check(history: History) -> Finding:
        fault = fault_of(history, phase)
        if fault is None:
            return nothing_to_judge(history, phase, "fault", expected=0)
        back = store_back_at(history, phase, fault)
        calm_from = max(fault.ended_at, back or fault.ended_at) + settle_s
        later = [op for op in select(history, *kinds, phase=phase) if op.invoked_at >= calm_from]
        if not later:
            return undecided("nothing was asked after the cure", expected=0)
        bad = [op for op in later if op.status is None or op.status >= 500]
        statuses = Counter("no answer" if op.status is None else str(op.status) for op in later)
        listed = ", ".join(f"{count} of {name}" for name, count in sorted(statuses.items()))
        finding = Finding(
            Verdict.VIOLATED if bad else Verdict.HOLDS,
            0,
            len(bad),
            "failures after the cure",
            len(later),
            f"from {settle_s:g} s after the cure: {listed}",
            evidence=[op.id for op in bad[:3]],
        )
        gross = len(bad) > len(later) / 2
        return unless_noisy(finding, history, calm_from, later[-1].completed_at, gross=gross)

    return check
