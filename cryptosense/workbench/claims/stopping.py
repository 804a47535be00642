"""Claims about an instance that is told to stop.

Observations: `exit.code` and `exit.seconds` (labels `instance`, and `redis`: up or down at that time). The
second is observed at the exit, so that the signal was sent its value before.
"""

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.reading import acquitted, convicted, nothing_to_judge, select, skip_reason, told
from cryptosense.workbench.history import History, Outcome


def stops_gracefully(*, phase: str | None, within_s: float, redis: str = "up") -> Checker:
    """STOP-1: exit code 0 within so many seconds and, where a phase is given, what was under way in it is answered."""

    def check(history: History) -> Finding:
        codes, seconds = (history.observations(name, redis=redis) for name in ("exit.code", "exit.seconds"))
        if not codes or not seconds:
            return undecided(
                skip_reason(history, phase) or "no instance of the run was stopped", expected=0, unit="exit code"
            )
        code, took = int(codes[-1].value), max(reading.value for reading in seconds)
        wrong = [int(reading.value) for reading in codes if reading.value != 0]
        samples = len(codes)
        if wrong:
            reason = f"an instance that was told to stop (SIGTERM) while Redis was {redis} exited with {wrong[0]}"
            cause = "a dependency closed twice, or in the wrong order, or no handler that ends the server's own loop"
            return convicted(
                f"{reason}; the usual cause is {cause}",
                [],
                expected=0,
                observed=wrong[0],
                unit="exit code",
                samples=samples,
            )
        if took > within_s:
            reason = f"an instance that was told to stop took {took:.1f} s; kept-alive connections usually keep it"
            return convicted(
                reason, [], expected=f"at most {within_s:g}", observed=round(took, 1), unit="s to exit", samples=samples
            )
        signalled = seconds[-1].at - seconds[-1].value
        asked = select(history, "tokens.read", phase=phase) if phase is not None else []
        under_way = [operation for operation in asked if operation.invoked_at <= signalled <= operation.completed_at]
        if phase is not None and not under_way:
            return nothing_to_judge(history, phase, "request under way at the signal", expected=0)
        broken = [operation for operation in under_way if operation.outcome is not Outcome.OK]
        if broken:
            reason = f"{told(broken[0])} although it was under way when the instance was told to stop"
            return convicted(
                reason, broken[:1], expected=0, observed=len(broken), unit="broken requests", samples=len(under_way)
            )
        reason = (
            f"exit with {code} after {took:.1f} s, Redis {redis}; {len(under_way)} requests under way were answered"
        )
        return acquitted(reason, expected=0, observed=code, unit="exit code", samples=samples + len(under_way))

    return check
