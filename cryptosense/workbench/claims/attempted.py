"""Whether an attack was made at all: one that nobody carried out harms nobody, and acquits nobody.

`clock.ahead_s` (labels `phase`, `instance`) is how far the run has set an instance's clock ahead.
"""

from collections.abc import Callable
from dataclasses import replace

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.reading import declared, select
from cryptosense.workbench.history import History, Operation, Outcome
from cryptosense.workbench.verdicts import Verdict

Lack = Callable[[History], str | None]
"""What is missing for the attack to count as made; None where nothing is."""

_TURNED_AWAY = frozenset({401, 403, 429})


def attempted(check: Checker, lack: Lack) -> Checker:
    """The checker, except that it acquits only where the attack was made."""

    def made(history: History) -> Finding:
        finding = check(history)
        if finding.verdict is not Verdict.HOLDS or (missing := lack(history)) is None:
            return finding
        return replace(finding, verdict=Verdict.UNDECIDED, reason=f"{missing}; otherwise: {finding.reason}")

    return made


def limit_spent(policy: str, *, attack: str, spared: str) -> Lack:
    """The attacker was answered as often as the limit allows, within one window before the victim's first request."""

    def lack(history: History) -> str | None:
        limit, window = (
            declared(history, f"limit.{what}", phase=attack, policy=policy) for what in ("max", "window_s")
        )
        victims = history.operations("limit.probe", phase=spared)
        if limit is None or window is None or not victims:
            return f"the limit {policy} is not declared"
        since = victims[0].invoked_at - window
        answered = [op for op in history.operations("limit.probe", phase=attack) if _answered(op)]
        counted = sum(since < op.invoked_at and op.completed_at <= victims[0].invoked_at for op in answered)
        if counted < limit:
            return f"the attacker was answered {counted} times only, where it takes {limit:g} to spend a budget"
        return None

    return lack


def limit_exceeded(policy: str, *, phase: str) -> Lack:
    """More requests were answered than one budget allows, so that a shared one would have shown."""

    def lack(history: History) -> str | None:
        limit = declared(history, "limit.max", phase=phase, policy=policy)
        answered = sum(map(_answered, history.operations("limit.probe", phase=phase)))
        if limit is None or answered <= limit:
            return f"{answered} requests were answered, which one budget may have had room for"
        return None

    return lack


def clocks_apart(policy: str, *, phase: str) -> Lack:
    """Instances were asked whose clocks are further apart than the window is long."""

    def lack(history: History) -> str | None:
        window = declared(history, "limit.window_s", phase=phase, policy=policy)
        asked = {op.instance for op in history.operations("limit.probe", phase=phase) if _answered(op)}
        readings = history.observations("clock.ahead_s", phase=phase)
        ahead = [item.value for item in readings if item.labels.get("instance") in asked]
        apart = max(ahead) - min(ahead) if ahead else 0.0
        if window is None or apart <= window:
            than = "" if window is None else f", where the window is {window:g} s"
            return f"the clocks of the instances that were asked are {apart:g} s apart{than}"
        return None

    return lack


def spared_by_names(check: Checker, *, attack: str, spared: str) -> Checker:
    """The checker, judging only what was read after the first protected request of the attack that passed the guards.

    What had filled the cache before stays for comparison. It holds only by what was read after the last of them.
    """

    def unharmed(history: History) -> Finding:
        passed = [op for op in history.operations("attack", phase=attack) if "token" in op.sent and _got_through(op)]
        whole = check(history)
        if not passed:
            if whole.verdict is Verdict.UNDECIDED:
                return whole
            return undecided("no request of the attack passed the guards, so nothing was tried on the cache")
        begun, ended = passed[0].invoked_at, max(op.completed_at for op in passed)
        since_begun = check(_read_since(history, spared, begun, filled_before=begun))
        if since_begun.verdict is Verdict.VIOLATED:
            return since_begun
        return check(_read_since(history, spared, ended, filled_before=begun))

    return unharmed


def _read_since(history: History, phase: str, moment: float, *, filled_before: float) -> History:
    """Without the reads of the phase that began before the moment, save the one that last filled each list before."""
    reads = select(history, "tokens.read", phase=phase)
    fills = {
        op.sent.get("ids"): op.id
        for op in reads
        if op.completed_at <= filled_before and op.outcome is Outcome.OK and op.got.get("x_cache") in {"miss", None}
    }
    gone = {op.id for op in reads if op.invoked_at < moment} - set(fills.values())
    kept = tuple(event for event in history.events if not (isinstance(event, Operation) and event.id in gone))
    return replace(history, events=kept)


def _answered(operation: Operation) -> bool:
    return operation.status is not None and operation.status < 500


def _got_through(operation: Operation) -> bool:
    return _answered(operation) and operation.status not in _TURNED_AWAY
