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
    convicted,
    honest_refusals,
    nothing_to_judge,
    select,
    told,
)
from cryptosense.workbench.history import History, Operation, Outcome, Span, SpanKind
from cryptosense.workbench.verdicts import Verdict

_SOON_S = 0.5


def fault_of(history: History, phase: str) -> Span | None:
    """The scenario's fault, from injection to cure."""
    return next((span for span in history.spans(SpanKind.FAULT) if span.labels.get("phase") == phase), None)


def store_back_at(history: History, phase: str, fault: Span) -> float | None:
    """When the store was first found answering again after the fault had silenced it.

    A fault that never silences the store (a script flush) leaves it answering: that is the fault's own beginning. A
    single answer that comes too late after the cure is the machine's doing and no silence. A fault that is cured by
    hand (`cured_by`) ends when the store answers, so that a busy machine's late readings put nothing off. Where the
    store cannot be asked and an owner's command cured it, it answers from that command's end on, as its owner promises.
    """
    if _by_hook(fault):
        return fault.ended_at
    readings = [item for item in history.observations("store.answers", phase=phase) if item.at >= fault.started_at]
    silent = [item.at for item in readings if item.value == 0 and item.at <= fault.ended_at + _SOON_S]
    if not silent:
        return fault.started_at if readings else None
    back = next((item.at for item in readings if item.value == 1 and item.at > silent[0]), None)
    by_hand = fault.labels.get("cured_by") == "hand"
    return fault.ended_at if by_hand and (back is None or back > fault.ended_at) else back


def _by_hook(fault: Span) -> bool:
    """Whether an owner's commands inflicted and cured it, on a store that nobody here can ask."""
    return fault.labels.get("cured_by") == "hook"


def in_the_fault(history: History, phase: str, *kinds: str) -> list[Operation]:
    """What was under way while the fault lasted; empty where there was none."""
    fault = fault_of(history, phase)
    return [
        op
        for op in select(history, *kinds, phase=phase)
        if fault is not None and op.completed_at >= fault.started_at and op.invoked_at <= fault.ended_at
    ]


def only_honest_refusals(*kinds: str, phase: str) -> Checker:
    """Checks that no answer is of 500 or above save a 503 that names what is missing and says when to come again."""

    def check(history: History) -> Finding:
        operations = [op for op in select(history, *kinds, phase=phase) if op.status is not None]
        honest = honest_refusals(history)
        lies = [op for op in operations if op.status is not None and op.status >= 500 and not honest(op)]
        if not lies and all(op.status is None for op in in_the_fault(history, phase, *kinds)):
            return nothing_to_judge(history, phase, "answer while the fault lasted", expected=0)
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


def felt_by_nobody(*kinds: str, phase: str) -> Checker:
    """Checks that from the fault on nothing is answered with 500 or above, an honest 503 included, or not at all.

    For a fault that leaves the store answering. Where the run itself got no answer from the store in time while
    somebody was refused, or other programs kept the machine busy, a refusal is not shown to be the fault's doing.
    """

    def check(history: History) -> Finding:
        fault = fault_of(history, phase)
        asked = [] if fault is None else select(history, *kinds, phase=phase)
        since = [op for op in asked if fault is not None and op.completed_at >= fault.started_at]
        if fault is None or not since or not in_the_fault(history, phase, *kinds):
            return nothing_to_judge(history, phase, "request while the fault lasted", expected=0)
        felt = [op for op in since if op.status is None or op.status >= 500]
        unit, samples = "refusals felt", len(since)
        if not felt:
            reason = f"{samples} requests since the fault, none refused for the store and none without an answer"
            return acquitted(reason, expected=0, observed=0, unit=unit, samples=samples)
        began, ended = min(op.invoked_at for op in felt), max(op.completed_at for op in felt)
        reason = (
            f"{len(felt)} of {samples} requests since the fault were refused or never answered, first {told(felt[0])}, "
            f"over {ended - began:.2f} s: whoever misses a script hands that on as an outage and does not load it again"
        )
        silent = [item for item in history.observations("store.answers", phase=phase) if item.value == 0]
        if any(began <= item.at <= ended + _SOON_S for item in silent):
            reason = f"the store itself was not found answering meanwhile, so this convicts nobody: {reason}"
            return undecided(reason, expected=0, unit=unit, samples=samples)
        finding = convicted(reason, felt[:3], expected=0, observed=len(felt), unit=unit, samples=samples)
        return unless_noisy(finding, history, began, ended)

    return check


def answers_within(*kinds: str, phase: str, bound_s: float) -> Checker:
    """Checks that every request of the scenario is answered, whatever the answer, within the bound."""

    def check(history: History) -> Finding:
        operations = select(history, *kinds, phase=phase)
        if not in_the_fault(history, phase, *kinds):
            return nothing_to_judge(history, phase, "request while the fault lasted", expected=bound_s)
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


def writes_again_within(
    kind: str, *, phase: str, bound_s: float, since_store_answers: bool, since_cure: bool = False
) -> Checker:
    """Checks how long after the fault's injection (or the store's first answer) every instance did a good write.

    An instance is one that was asked to write in the phase, before the fault or later. `since_cure` counts from the
    cure, for a fault that the store itself does not feel.
    """

    def check(history: History) -> Finding:
        fault = fault_of(history, phase)
        posts = history.operations(kind, phase=phase)
        if fault is None or not posts:
            return nothing_to_judge(history, phase, "fault with writes around it", expected=bound_s)
        if _by_hook(fault) and not since_store_answers:
            return undecided("when the store itself was back cannot be told from here", expected=bound_s, unit="s")
        back = store_back_at(history, phase, fault)
        if back is None:
            return undecided("the store was not found answering again within the run", expected=bound_s, unit="s")
        back = fault.ended_at if since_cure else back
        origin = back if since_store_answers else fault.started_at
        firsts = first_good_by_instance(posts, since=back)
        waited = {where: moment - origin for where, moment in firsts.items() if moment is not None}
        missing = sorted(set(firsts) - set(waited))
        longest = max(waited.values(), default=float("inf"))
        kept = not missing and longest <= bound_s
        answering = "the end of the command that cured it" if _by_hook(fault) else "the store's first answer"
        starting = "the cure" if since_cure else answering if since_store_answers else "the fault"
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
        given = {where: _asked_until(posts, where) - origin for where in missing}
        given_time = max(given.values(), default=0.0)
        if missing and given_time < bound_s and max(waited.values(), default=0.0) <= bound_s:
            return undecided(
                f"{len(missing)} instances did no good write, and were asked to for {max(0.0, given_time):.1f} s only",
                expected=bound_s,
                unit="s",
            )
        gross = (longest if not missing else given_time) > GROSS * bound_s
        return unless_noisy(finding, history, origin, posts[-1].completed_at, gross=gross)

    return check


def first_good_by_instance(posts: list[Operation], *, since: float) -> dict[str, float | None]:
    """When each instance first completed a good write that was asked for after `since`."""
    firsts: dict[str, float | None] = {post.instance: None for post in posts}
    for post in sorted(posts, key=lambda operation: operation.completed_at):
        if firsts[post.instance] is None and post.outcome is Outcome.OK and post.completed_at >= since:
            firsts[post.instance] = post.completed_at
    return firsts


def _asked_until(posts: list[Operation], instance: str) -> float:
    return max(post.completed_at for post in posts if post.instance == instance)


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
        account = account_of_writes(history, phase=phase)
        accepts = account.false_accepts
        unexplained = [accept for accept in accepts if not explained(accept, account, fault, window_s)]
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
        if fault is None or all(replay.completed_at < fault.started_at for replay in replays):
            return undecided("no used token was replayed once the fault had begun", expected=0, samples=len(replays))
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
        if unread := account.unread_since(fault.ended_at):
            return undecided(
                f"what {len(unread)} sessions hold could not be read after the cure",
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


def well_again(*kinds: str, phase: str, settle_s: float = 2.0) -> Checker:
    """Checks the hypothesis again after the cure: from `settle_s` after it nothing fails and nobody is unknown.

    A refused CSRF token is judged where writes are accounted for: one that was lost may explain it.
    """

    def check(history: History) -> Finding:
        fault = fault_of(history, phase)
        if fault is None:
            return nothing_to_judge(history, phase, "fault", expected=0)
        back = store_back_at(history, phase, fault)
        calm_from = max(fault.ended_at, back or fault.ended_at) + settle_s
        later = [op for op in select(history, *kinds, phase=phase) if op.invoked_at >= calm_from]
        if not later:
            return undecided("nothing was asked after the cure", expected=0)
        bad = [op for op in later if op.status is None or op.status >= 500 or op.status == 401]
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
