"""Claims about sessions: they live until they are ended, on every instance, and then they are dead on every instance.

Operations: `auth.register`, `auth.login`, `auth.refresh`, `auth.logout`, `auth.password`, `session.use` and everything
else that carries a bearer; the actor is the session. `sent.dead` marks what is asked with credentials that were ended.
"""

from collections.abc import Sequence

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.reading import (
    acquitted,
    by_actor,
    convicted,
    may_be_applied,
    nothing_to_judge,
    select,
    told,
)
from cryptosense.workbench.history import History, Operation, Outcome

_REFRESH = "auth.refresh"
_OPENING = {"auth.register", "auth.login", _REFRESH}
_CARRYING = ("session.use", "csrf", "portfolios", "limit.probe", "auth.logout")


def _tells_of_session(operation: Operation) -> bool:
    """Whether the answer says if the session is known: a limiter, a size bound or a failure speaks before that."""
    status = operation.status
    return status is not None and status < 500 and status not in {413, 429}


def _presents_session(operation: Operation) -> bool:
    """Whether it carries a bearer, or a refresh token; sign-ins present what no session gave them."""
    if operation.kind == _REFRESH:
        return operation.sent.get("refresh") is not None
    return operation.kind not in _OPENING


def _may_end(use: Operation, asked: Sequence[Operation]) -> bool:
    """Whether it is a logout, or presents a refresh token that another may have traded before, and got no other."""
    token = use.sent.get("refresh") if use.kind == _REFRESH and use.outcome is not Outcome.OK else None
    return use.kind == "auth.logout" or any(
        token is not None
        and other.kind == _REFRESH
        and other.id != use.id
        and other.sent.get("refresh") == token
        and other.invoked_at < use.completed_at
        and (other.outcome is Outcome.OK or may_be_applied(other))
        for other in asked
    )


def sessions_live_on(*, phase: str | None = None, actor: str | None = None, used_in: str | None = None) -> Checker:
    """No 401 for a session that was opened and not ended: not on another instance, not after a restart.

    That goes for its bearer, and for a refresh token that had not been traded. One that had been ends its session.
    With `used_in` only what was asked in that phase is judged, of sessions opened whenever.
    """

    def check(history: History) -> Finding:
        judged, lost = 0, list[tuple[Operation, Operation]]()
        everything = select(history, *_OPENING, *_CARRYING, phase=phase, actor=actor)
        for asked in by_actor(everything).values():
            opened = next((item for item in asked if item.kind in _OPENING and item.outcome is Outcome.OK), None)
            ended = next((item for item in asked if _may_end(item, asked)), None)
            if opened is None:
                continue
            for use in asked:
                alive = opened.completed_at <= use.invoked_at and (ended is None or use.completed_at < ended.invoked_at)
                asked_there = used_in is None or use.phase == used_in
                judgeable = _tells_of_session(use) and not use.sent.get("dead")
                if alive and asked_there and judgeable and _presents_session(use):
                    judged += 1
                    if use.status == 401:
                        lost.append((opened, use))
        if not judged:
            return nothing_to_judge(history, used_in or phase, "request of a signed-in session", expected=0)
        if lost:
            opened, use = lost[0]
            reason = (
                f"the session of {told(opened)} was not ended, and {told(use)}; the usual causes are sessions in one "
                "instance's memory, refresh tokens too, and a signing secret that differs between instances or changes "
                "at a restart"
            )
            return convicted(
                reason, [opened, use], expected=0, observed=len(lost), unit="lost sessions", samples=judged
            )
        reason = f"{judged} requests of signed-in sessions were recognised, whichever instance answered"
        return acquitted(reason, expected=0, observed=0, unit="lost sessions", samples=judged)

    return check


def logout_ends_the_session(*, phase: str | None = None, actor: str | None = None) -> Checker:
    """AUTH-1: after an answered logout its bearer, refresh token and CSRF token are refused on every instance."""

    def check(history: History) -> Finding:
        judged, alive, kinds = 0, list[tuple[Operation, Operation]](), set[str]()
        everything = select(history, *_OPENING, *_CARRYING, phase=phase, actor=actor)
        for asked in by_actor(everything).values():
            ended = next((item for item in asked if item.kind == "auth.logout" and item.outcome is Outcome.OK), None)
            if ended is None:
                continue
            for use in asked:
                if use.invoked_at >= ended.completed_at and _tells_of_session(use):
                    judged += 1
                    kinds.add(use.kind)
                    if use.status not in {401, 403}:
                        alive.append((ended, use))
        if not judged:
            return nothing_to_judge(history, phase, "request after a logout", expected=0)
        if alive:
            ended, use = alive[0]
            reason = (
                f"{told(ended)}, and after that {told(use)}: the session still lives; the usual cause is a signed "
                "bearer that nobody looks up, or a logout that reaches one instance's memory only"
            )
            return convicted(
                reason, [ended, use], expected=0, observed=len(alive), unit="accepted after logout", samples=judged
            )
        if "session.use" not in kinds:
            return undecided("what only the signed-in may have was not asked for with the ended bearer", samples=judged)
        reason = f"all {judged} requests with ended credentials were refused ({', '.join(sorted(kinds))})"
        return acquitted(reason, expected=0, observed=0, unit="accepted after logout", samples=judged)

    return check


def refresh_is_used_once(*, phase: str | None = None, actor: str | None = None) -> Checker:
    """A refresh token is good once: one that had been traded is refused, and its session ends."""

    def check(history: History) -> Finding:
        spent: dict[str, Operation] = {}
        judged, twice = 0, list[tuple[Operation, Operation]]()
        for use in select(history, "auth.refresh", phase=phase, actor=actor):
            token = use.sent.get("refresh")
            if token is None:
                continue
            before = spent.get(token)
            if use.outcome is Outcome.OK:
                spent.setdefault(token, use)
            if before is not None and use.invoked_at >= before.completed_at and _tells_of_session(use):
                judged += 1
                if use.outcome is Outcome.OK:
                    twice.append((before, use))
        if not judged:
            return nothing_to_judge(history, phase, "second use of a refresh token", expected=0)
        if twice:
            before, use = twice[0]
            reason = f"one refresh token was traded twice: {told(before)}, then {told(use)}"
            return convicted(reason, [before, use], expected=0, observed=len(twice), unit="second uses", samples=judged)
        reason = f"{judged} refresh tokens that had been traded were refused"
        return acquitted(reason, expected=0, observed=0, unit="second uses", samples=judged)

    return check
