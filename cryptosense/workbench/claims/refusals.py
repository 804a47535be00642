"""Claims about how a service says no: with its declared codes, never with a lie, never with its insides."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.noise import QUIET_SHARE, foreign_share
from cryptosense.workbench.claims.reading import acquitted, convicted, nothing_to_judge, select, told, untold
from cryptosense.workbench.history import History, Operation, Outcome, Span
from cryptosense.workbench.verdicts import Verdict

DECLARED_CODES: Mapping[int, frozenset[str]] = {
    401: frozenset({"UNAUTHORIZED"}),
    403: frozenset({"CSRF_TOKEN_MISSING", "CSRF_TOKEN_INVALID", "CROSS_SITE_REQUEST"}),
    404: frozenset({"NOT_FOUND"}),
    405: frozenset({"METHOD_NOT_ALLOWED"}),
    409: frozenset({"CONFLICT"}),
    413: frozenset({"PAYLOAD_TOO_LARGE"}),
    422: frozenset({"VALIDATION_FAILED"}),
    429: frozenset({"RATE_LIMIT_EXCEEDED"}),
    503: frozenset({"STATE_UNAVAILABLE", "UPSTREAM_UNAVAILABLE", "DATABASE_UNAVAILABLE"}),
}
"""The contract's codes by status; 405 is the framework's own and may come without one."""

_BESIDE_S = 0.3
_HEALTH = ("health.read", "ready.read", "live.read")


def refusals_are_honest(
    *, phase: str | None = None, kinds: Sequence[str] = ("auth", "csrf", "limit", "tokens", "portfolios", "session")
) -> Checker:
    """Every refusal is JSON with a declared code for its status; 503 says when to come back; no insides are shown."""

    def check(history: History) -> Finding:
        without = untold(history, "codes")
        found = _none_wrong("dishonest answers", _dishonest_in(history), kinds, phase, judged=_refusal)(history)
        if without is None or found.verdict is not Verdict.HOLDS:
            return found
        return undecided(f"{without}; nothing else was wrong", expected=0, unit=found.unit, samples=found.samples)

    return check


def no_server_error(
    *, phase: str | None = None, kinds: Sequence[str] = (), excused_in: Collection[str] = ()
) -> Checker:
    """No 5xx among all answers, but an honest 503 (a declared code and `Retry-After`) in the phases `excused_in`.

    Those are the phases in which something is away. Elsewhere an honest 503 says that a deadline passed, which
    convicts unless other programs kept the machine busy. Health routes are left out.
    """

    def check(history: History) -> Finding:
        dishonest, honest = _dishonest_in(history), _honest_in(history)

        def fault(operation: Operation) -> str | None:
            if operation.status is None or operation.status < 500:
                return None
            if not honest(operation):
                return dishonest(operation)
            return None if operation.phase in excused_in else "says that something is away, and nothing was"

        return _none_wrong_in_time("server errors", fault, honest, kinds=kinds, phase=phase)(history)

    return check


def everybody_is_served(*, actor: str, phase: str | None = None) -> Checker:
    """Every request of these actors was answered, and none with a 5xx of any kind.

    No answer, and an honest 503, convict unless other programs kept the machine busy. Health routes are left out.
    """

    def fault(operation: Operation) -> str | None:
        if operation.status is None:
            return "got no answer"
        return "was not served, and nothing was away" if operation.status >= 500 else None

    def check(history: History) -> Finding:
        honest = _honest_in(history)

        def late(operation: Operation) -> bool:
            return operation.outcome is Outcome.UNKNOWN if operation.status is None else honest(operation)

        return _none_wrong_in_time("requests not served", fault, late, phase=phase, actor=actor)(history)

    return check


def no_refusal_for_the_flip(
    *, phase: str | None = None, kinds: Sequence[str] = (), flips: Sequence[str] = ()
) -> Checker:
    """STAGE-1: no request fails with a 5xx of any kind or without an answer while the phase lasts.

    It holds only where something was under way around each of the `flips` (spans `flip NAME`).
    """

    def fault(operation: Operation) -> str | None:
        if operation.status is None:
            return "got no answer"
        return "failed" if operation.status >= 500 else None

    none_failed = _none_wrong("failed requests", fault, kinds, phase)

    def check(history: History) -> Finding:
        found = none_failed(history)
        quiet = [name for name in flips if not _under_way(history, f"flip {name}", phase)]
        if found.verdict is not Verdict.HOLDS or not quiet:
            return found
        return undecided(f"nothing was asked around {len(quiet)} of {len(flips)} flips", samples=found.samples)

    return check


def _under_way(history: History, span_name: str, phase: str | None) -> bool:
    """Whether a request of the phase was under way in the span or a moment beside it."""
    return any(
        operation.completed_at >= span.started_at - _BESIDE_S and operation.invoked_at <= span.ended_at + _BESIDE_S
        for span in history.spans()
        if span.name == span_name
        for operation in history.operations(phase=phase)
    )


def health_tells_the_truth(*, phase: str | None = None) -> Checker:
    """`/health` answers 200 with `ok` and 503 with another word, never one with the other."""

    def fault(operation: Operation) -> str | None:
        word = operation.got.get("state")
        if operation.kind != "health.read" or operation.status is None:
            return None
        if operation.status not in {200, 503}:
            return f"answered {operation.status}, where 200 or 503 is due"
        if (operation.status == 200) != (word == "ok"):
            return (
                f"answered {operation.status} with status {word!r}, so whoever reads the one is told the opposite of "
                "the other; the usual cause is a handler that always answers 200, or a body that is always the same"
            )
        down = [] if operation.status != 200 else _said_down(operation)
        if down:
            return (
                f"answered 200 while it says itself that {', '.join(down)} is down; the usual cause is a status that "
                "is not reckoned from the dependencies that stand beside it"
            )
        return None

    return _none_wrong("contradictions", fault, ("health.read",), phase)


def dependency_is_reported(service: str, *, word: str = "ok", phase: str | None = None) -> Checker:
    """`/health` names the dependency and says that it answers."""

    def fault(operation: Operation) -> str | None:
        services = operation.got.get("services")
        said = services.get(service) if isinstance(services, Mapping) else None
        said = said.get("status") if isinstance(said, Mapping) else said
        return None if said in {word, "up", "connected", "healthy", True} else f"says {said!r} about {service}"

    return _none_wrong("answers", fault, ("health.read",), phase)


def answered_with(
    allowed: Collection[int],
    *,
    phase: str | None = None,
    kinds: Sequence[str] = (),
    actor: str | None = None,
    why_wrong: str,
    codes: Collection[str] = (),
    unanswered: bool = False,
    silent: Collection[int] = (),
) -> Checker:
    """Every operation of the selection was answered with one of the statuses (and, of refusals, one of the codes).

    With `unanswered` a request without an answer is no fault, and not judged. Neither is one with a `silent` status,
    which says nothing of what is claimed (a limiter's 429). Where a deployment's refusals bear no codes the status
    alone is judged.
    """

    def fault(operation: Operation, *, named: Collection[str]) -> str | None:
        if operation.status is None:
            return None if unanswered else "got no answer"
        if operation.status in silent:
            return None
        wrong_code = named and operation.status >= 400 and operation.got.get("code") not in named
        return why_wrong if operation.status not in allowed or wrong_code else None

    def check(history: History) -> Finding:
        named = codes if untold(history, "codes") is None else ()
        speaks = partial(_speaks, silent=silent)
        return _none_wrong("wrong answers", partial(fault, named=named), kinds, phase, actor, judged=speaks)(history)

    return check


def asked_meanwhile(check: Checker, *, span: str, phase: str, kinds: Sequence[str]) -> Checker:
    """The checker, except that it acquits nobody unless each kind was asked, and answered, within a span of that name.

    What was begun before the span, or answered after it, may have escaped what happened in it.
    """

    def meanwhile(history: History) -> Finding:
        found = check(history)
        spans = [one for one in history.spans() if one.name == span]
        unasked = [kind for kind in kinds if not any(_within(history, kind, phase, one) for one in spans)]
        if found.verdict is not Verdict.HOLDS or not unasked:
            return found
        return undecided(f"no {unasked[0]} was asked while {span}, so nobody could feel it", samples=found.samples)

    return meanwhile


def _within(history: History, kind: str, phase: str, span: Span) -> bool:
    return any(
        operation.status is not None
        and span.started_at <= operation.invoked_at
        and operation.completed_at <= span.ended_at
        for operation in history.operations(kind, phase=phase)
    )


def _speaks(operation: Operation, *, silent: Collection[int]) -> bool:
    return operation.status not in silent


def _refusal(operation: Operation) -> bool:
    return operation.status is not None and operation.status >= 400


def _said_down(operation: Operation) -> list[str]:
    """The dependencies of which the answer says itself that they are away."""
    services = operation.got.get("services")
    found = services.items() if isinstance(services, Mapping) else ()
    words = {name: said.get("status") if isinstance(said, Mapping) else said for name, said in found}
    return sorted(
        str(name)
        for name, word in words.items()
        if word is False or (isinstance(word, str) and word in {"down", "unavailable", "error"})
    )


def _dishonest_in(history: History) -> Callable[[Operation], str | None]:
    """Tells what is wrong with a refusal, of what this deployment tells by its own account."""
    codes, waits = (untold(history, topic) is None for topic in ("codes", "header retry_after"))
    return partial(_dishonest, codes=codes, waits=waits)


def _honest_in(history: History) -> Callable[[Operation], bool]:
    """Tells a 503 that is a declared refusal."""
    dishonest = _dishonest_in(history)
    return lambda operation: operation.status == 503 and dishonest(operation) is None


def _dishonest(operation: Operation, *, codes: bool = True, waits: bool = True) -> str | None:
    """What is wrong with the refusal; None for an answer that is no refusal, or an honest one.

    Without `codes` any 4xx will do, without `waits` no `Retry-After` is asked for.
    """
    if operation.got.get("trace"):
        return "shows its insides (a stack trace)"
    status, code = operation.status, operation.got.get("code")
    if status is None or status < 400:
        return None
    if status not in DECLARED_CODES and (codes or status >= 500):
        return f"answers {status}, which the contract does not know"
    if codes and code not in DECLARED_CODES[status] and not (status == 405 and code is None):
        return f"gives the code {code!r}, where one of {', '.join(sorted(DECLARED_CODES[status]))} is due"
    if waits and status in {429, 503} and not isinstance(operation.got.get("retry_after"), int):
        return "does not say in Retry-After when to come back"
    return None


def _none_wrong(
    unit: str,
    fault: Callable[[Operation], str | None],
    kinds: Sequence[str],
    phase: str | None,
    actor: str | None = None,
    *,
    judged: Callable[[Operation], bool] = lambda _: True,
) -> Checker:
    def check(history: History) -> Finding:
        found = select(history, *kinds, phase=phase, actor=actor) if kinds else _all_but_health(history, phase, actor)
        answered = [
            operation
            for operation in found
            if fault(operation) is not None or (operation.status is not None and judged(operation))
        ]
        if not answered:
            return nothing_to_judge(history, phase, "answer", expected=0)
        wrong = [(operation, what) for operation in answered if (what := fault(operation)) is not None]
        if wrong:
            operation, what = wrong[0]
            reason = f"{told(operation)}: {what}"
            if len(wrong) > 1:
                reason += f"; and {len(wrong) - 1} more of {len(answered)}"
            return convicted(reason, [operation], expected=0, observed=len(wrong), unit=unit, samples=len(answered))
        return acquitted(f"none of {len(answered)}", expected=0, observed=0, unit=unit, samples=len(answered))

    return check


def _none_wrong_in_time(
    unit: str,
    fault: Callable[[Operation], str | None],
    late: Callable[[Operation], bool],
    *,
    kinds: Sequence[str] = (),
    phase: str | None,
    actor: str | None = None,
) -> Checker:
    """The same, but that a fault which is `late` (a deadline passed) convicts nobody while the machine is busy."""

    def check(history: History) -> Finding:
        spared = list[Operation]()

        def convicting(operation: Operation) -> str | None:
            what = fault(operation)
            if what is None or not late(operation):
                return what
            share = foreign_share(history, operation.invoked_at, operation.completed_at)
            if share is None or share <= QUIET_SHARE:
                return what
            spared.append(operation)
            return None

        found = _none_wrong(unit, convicting, kinds, phase, actor)(history)
        if found.verdict is Verdict.VIOLATED or not spared:
            return found
        first = f"other programs kept the processors busy as {told(spared[0])}"
        reason = f"{first}, which convicts nobody then; nothing else was wrong"
        return undecided(reason, expected=0, unit=unit, samples=found.samples)

    return check


def _all_but_health(history: History, phase: str | None, actor: str | None) -> list[Operation]:
    kinds = {operation.kind for operation in history.operations(phase=phase)} - set(_HEALTH)
    return select(history, *sorted(kinds), phase=phase, actor=actor) if kinds else []
