"""Claims about what a limiter tells its clients: when to come back, and how much is left."""

import math
from collections.abc import Collection, Sequence

from cryptosense.workbench.claims.admissions import Limit, asked
from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.reading import (
    CLOCK_SLACK_S,
    acquitted,
    admitted,
    convicted,
    denied,
    may_be_applied,
    nothing_to_judge,
    select,
    told,
    untold,
)
from cryptosense.workbench.history import History, Operation

_PROBE = ("limit.probe",)
_HEADERS = ("limit", "remaining", "reset")
_IETF = ("ietf_policy", "ietf")


def obedient_clients_admitted(policy: str, *, phase: str | None = None) -> Checker:
    """RATE-3: a client that waits as long as `Retry-After` said is admitted.

    Judges the probes with `sent.after` (the id of the denial whose time was waited out in full before the call).
    """

    def check(history: History) -> Finding:
        probes = [
            probe
            for probe in select(history, *_PROBE, phase=phase)
            if probe.sent.get("policy") == policy and probe.sent.get("after") is not None and probe.status is not None
        ]
        judged = [probe for probe in probes if admitted(probe) or denied(probe)]
        if not judged:
            return nothing_to_judge(history, phase, "request after a Retry-After was waited out", expected=0)
        denials = {operation.id: operation for operation in select(history, *_PROBE, phase=phase)}
        turned_away = [probe for probe in judged if denied(probe)]
        if turned_away:
            probe = turned_away[0]
            denial = denials.get(int(probe.sent["after"]))
            said = "" if denial is None else f" of {denial.got.get('retry_after')} s"
            reason = (
                f"a client waited out the Retry-After{said} and {told(probe)} all the same; the usual cause is a time "
                "that is rounded down, or reckoned from the newest request instead of the oldest"
            )
            evidence = [*([denial] if denial else []), probe]
            return convicted(
                reason, evidence, expected=0, observed=len(turned_away), unit="denied again", samples=len(judged)
            )
        reason = f"{len(judged)} clients waited as long as they were told and were admitted"
        return acquitted(reason, expected=0, observed=0, unit="denied again", samples=len(judged))

    return check


def retry_after_is_truthful(policy: str, *, phase: str | None = None, limit: Limit | None = None) -> Checker:
    """RATE-3: `Retry-After` is the time until the next slot frees, in whole seconds rounded up, no more and no less.

    The slot that frees next is that of the oldest admission in the window. Convicts where the time said is longer or
    shorter than any placement of the admissions explains, or missing, or no whole number of at least 1. A denial that
    came without the limit's worth of admissions before it has no such time, and is not judged here.
    """

    def check(history: History) -> Finding:
        found = asked(history, policy, phase=phase, limit=limit, kinds=_PROBE)
        if isinstance(found, Finding):
            return found
        if reason := untold(history, "header retry_after"):
            return undecided(reason, expected=0, unit="untruthful denials")
        judged, wrong = 0, list[tuple[float, Operation, str]]()
        for operations in found.budgets.values():
            counted = [item for item in operations if admitted(item) or may_be_applied(item)]
            for denial in filter(denied, operations):
                longest = _longest_wait(denial, counted, found.limit)
                shortest = _shortest_wait(denial, operations, found.limit)
                judged += longest is not None
                if untruth := _untruth(denial.got.get("retry_after"), shortest, longest):
                    wrong.append((untruth[0], denial, untruth[1]))
        judged = max(judged, len(wrong))
        if not judged:
            return undecided("nothing was denied with the window full", expected=0)
        if wrong:
            _, denial, what = max(wrong, key=lambda item: item[0])
            cause = "the whole window, or no time at all, is sent as the time to wait"
            reason = f"{told(denial)} and {what}; the usual cause is that {cause}"
            return convicted(
                reason, [denial], expected=0, observed=len(wrong), unit="untruthful denials", samples=judged
            )
        reason = f"each of {judged} denials told the time until a slot frees, rounded up to the second"
        return acquitted(reason, expected=0, observed=0, unit="untruthful denials", samples=judged)

    return check


def limit_headers_are_right(policy: str, *, phase: str | None = None, limit: Limit | None = None) -> Checker:
    """Every limited answer carries the limit, what remains, when quota next increases, and the IETF fields beside.

    `X-RateLimit-Limit` must be the declared limit; `Remaining` a number from 0 to limit - 1 on what passed and 0 on a
    denial, no more than what the certainly earlier admissions in the window leave, and no less than what is left after
    everything that the client may have had counted; the moment of `Reset` no farther away than a window, and on a
    denial no other than `Retry-After` says. The IETF fields must name the same quota, window, rest and moment: `t` is
    within a second of `Retry-After` on a denial, and on what passed of a moment at which the oldest admission can leave
    the window. A header that the deployment does not send by its own account is not asked for: the others can convict
    then, and not acquit.
    """

    def check(history: History) -> Finding:
        found = asked(history, policy, phase=phase, limit=limit, kinds=_PROBE)
        if isinstance(found, Finding):
            return found
        unsent = {name: why for name in (*_HEADERS, *_IETF) if (why := untold(history, f"header {name}"))}
        judged, wrong = 0, list[tuple[Operation, str]]()
        for actor, operations in found.budgets.items():
            everything = [item for item in history.operations() if item.actor == actor]
            for answer in operations:
                if admitted(answer) or denied(answer):
                    judged += 1
                    fault = _fault_in(answer, operations, found.limit, history.started_at, unsent)
                    fault = fault or _too_little_left(answer, everything, found.limit, unsent)
                    fault = fault or _wrong_increase(answer, operations, everything, found.limit, unsent)
                    if fault:
                        wrong.append((answer, fault))
        if not judged:
            return undecided("no limited answer was recorded", expected=0)
        if wrong:
            reason = f"{told(wrong[0][0])}: {wrong[0][1]}"
            return convicted(
                reason, [wrong[0][0]], expected=0, observed=len(wrong), unit="wrong answers", samples=judged
            )
        if unsent:
            reason = f"{'; '.join(unsent.values())}; nothing is wrong with the others"
            return undecided(reason, expected=0, unit="wrong answers", samples=judged)
        reason = f"limit, rest, reset and the IETF fields agree on {judged} answers"
        return acquitted(reason, expected=0, observed=0, unit="wrong answers", samples=judged)

    return check


def _longest_wait(denial: Operation, counted: Sequence[Operation], limit: Limit) -> int | None:
    """The most whole seconds that can be left until the window has room; None where no denial was due.

    The slot that frees next is that of the limit-th newest admission before the denial. The latest moments at which
    the candidates can have taken effect, in order, bound that admission's moment.
    """
    latest = sorted(
        denial.completed_at if may_be_applied(item) else min(item.completed_at, denial.completed_at)
        for item in counted
        if item.invoked_at < denial.completed_at
    )
    if len(latest) < limit.limit:
        return None
    left = latest[-limit.limit] + limit.window_s - denial.invoked_at
    return max(1, math.ceil(left + CLOCK_SLACK_S))


def _untruth(said: object, shortest: float, longest: int | None) -> tuple[float, str] | None:
    """By how many seconds the time said is wrong, and how; `longest` is None where no denial was due."""
    if not isinstance(said, int) or said < 1:
        return float("inf"), f"said {said!r}, which is no time to wait"
    if longest is not None and said > longest:
        return said - longest, f"said {said} s although at most {longest} s were left"
    if said < shortest - CLOCK_SLACK_S:
        return shortest - said, f"said {said} s although {shortest:.2f} s were left"
    return None


def _shortest_wait(denial: Operation, operations: Sequence[Operation], limit: Limit) -> float:
    """The least seconds that can be left until the window has room; 0 where it may have some at once.

    Admissions that were answered before the denial was asked are in its window for certain; more than these only make
    the wait longer.
    """
    earliest = sorted(
        item.invoked_at for item in operations if admitted(item) and item.completed_at <= denial.invoked_at
    )
    if len(earliest) < limit.limit:
        return 0.0
    return max(0.0, earliest[-limit.limit] + limit.window_s - denial.completed_at)


def _fault_in(
    answer: Operation,
    operations: Sequence[Operation],
    limit: Limit,
    started_at: float,
    unsent: Collection[str],
) -> str | None:
    got = answer.got
    sent = [name for name in (*_HEADERS, *_IETF) if name not in unsent]
    missing = [name for name in sent if got.get(name) is None]
    if missing:
        return f"the limit headers lack {', '.join(missing)}"
    if "limit" in sent and got["limit"] != limit.limit:
        return f"X-RateLimit-Limit is {got['limit']} where {limit.limit} is declared"
    if "remaining" in sent:
        rest = got["remaining"]
        if not isinstance(rest, int):
            return f"X-RateLimit-Remaining is {rest!r}, which is no number"
        before = len(_surely_in_window(answer, operations, limit.window_s))
        most = 0 if denied(answer) else limit.limit - 1 - before
        if not 0 <= rest <= most:
            return f"X-RateLimit-Remaining is {rest} where at most {most} can be left"
    whole = {"remaining", *_IETF} <= set(sent)
    if "reset" in sent and (reset_fault := _reset_fault(answer, limit, started_at)):
        return reset_fault
    if whole and (ietf_fault := _ietf_fault(answer, limit)):
        return ietf_fault
    return _other_moment(answer, started_at, sent) if "reset" in sent else None


def _too_little_left(
    answer: Operation, everything: Sequence[Operation], limit: Limit, unsent: Collection[str]
) -> str | None:
    """A rest that is smaller than what all of the client's requests, of whatever kind, can have left."""
    rest = answer.got.get("remaining")
    if "remaining" in unsent or denied(answer) or not isinstance(rest, int):
        return None
    began = answer.invoked_at - limit.window_s - CLOCK_SLACK_S
    counted = sum(
        not denied(item)
        and item.id != answer.id
        and item.invoked_at <= answer.completed_at
        and (may_be_applied(item) or item.completed_at >= began)
        for item in everything
    )
    least = limit.limit - 1 - counted
    return f"X-RateLimit-Remaining is {rest} where at least {least} are left" if rest < least else None


def _wrong_increase(
    answer: Operation,
    operations: Sequence[Operation],
    everything: Sequence[Operation],
    limit: Limit,
    unsent: Collection[str],
) -> str | None:
    """A `t` that is more than a second from when quota next increases; both are spans, so no clock comes into it."""
    said = None if "ietf" in unsent else _seconds(_parameters(str(answer.got["ietf"])).get("t"))
    if said is None:
        return None
    if denied(answer):
        wait = answer.got.get("retry_after")
        differs = isinstance(wait, int) and abs(said - wait) > 1
        return f"RateLimit's t is {said:g} s where Retry-After says {wait}" if differs else None
    longest = math.ceil(_longest_until_one_leaves(answer, operations, limit.window_s) + CLOCK_SLACK_S)
    shortest = _shortest_until_one_leaves(answer, everything, limit.window_s)
    if said > longest + 1:
        return f"RateLimit's t is {said:g} s where quota increases within {longest} s"
    if said < shortest - 1 - CLOCK_SLACK_S:
        return f"RateLimit's t is {said:g} s where no quota comes for {shortest:.2f} s"
    return None


def _longest_until_one_leaves(answer: Operation, operations: Sequence[Operation], window_s: float) -> float:
    """The oldest in the window is no younger than any admission that is certainly in it; alone, it is this one."""
    before = _surely_in_window(answer, operations, window_s - CLOCK_SLACK_S)
    return min((item.completed_at + window_s - answer.invoked_at for item in before), default=window_s)


def _shortest_until_one_leaves(answer: Operation, everything: Sequence[Operation], window_s: float) -> float:
    """The oldest in the window is no older than the first of all requests, of whatever kind, that can be in it."""
    outside = answer.invoked_at - window_s - CLOCK_SLACK_S
    first = min(
        (
            item.invoked_at
            for item in everything
            if not denied(item)
            and item.id != answer.id
            and item.invoked_at <= answer.completed_at
            and (may_be_applied(item) or item.completed_at >= outside)
        ),
        default=answer.completed_at,
    )
    return min(window_s, max(0.0, first + window_s - answer.completed_at))


def _surely_in_window(answer: Operation, operations: Sequence[Operation], window_s: float) -> list[Operation]:
    return [
        item
        for item in operations
        if admitted(item)
        and item.id != answer.id
        and item.completed_at <= answer.invoked_at
        and item.invoked_at > answer.completed_at - window_s
    ]


def _reset_fault(answer: Operation, limit: Limit, started_at: float) -> str | None:
    reset_at = answer.got.get("reset_at")
    if not isinstance(reset_at, int | float):
        return f"X-RateLimit-Reset is {answer.got['reset']!r}, which is no moment in ISO 8601"
    ahead = reset_at - (started_at + answer.completed_at)
    # A second for a header in whole seconds, two for the wall clock against ours.
    if not -3 <= ahead <= limit.window_s + 3:
        return f"X-RateLimit-Reset is {ahead:.1f} s away where the window is {limit.window_s:g} s"
    return None


def _other_moment(answer: Operation, started_at: float, sent: Collection[str]) -> str | None:
    """A time that is told another way and is not the same; each may be rounded, and the answer's own way takes time."""
    ahead = float(answer.got["reset_at"]) - (started_at + answer.completed_at)
    slack = 3 + answer.completed_at - answer.invoked_at
    others = {"Retry-After": answer.got.get("retry_after") if denied(answer) else None}
    if "ietf" in sent:
        others["RateLimit's t"] = _seconds(_parameters(str(answer.got["ietf"])).get("t"))
    for name, seconds in others.items():
        if isinstance(seconds, int | float) and abs(seconds - ahead) > slack:
            return f"X-RateLimit-Reset is {ahead:.1f} s away where {name} says {seconds:g}"
    return None


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.replace(".", "", 1).isdigit() else None


def _ietf_fault(answer: Operation, limit: Limit) -> str | None:
    fields = _parameters(str(answer.got["ietf_policy"])), _parameters(str(answer.got["ietf"]))
    wanted_window = max(1, math.ceil(limit.window_s))
    if fields[0].get("q") != str(limit.limit) or fields[0].get("w") not in {str(wanted_window), f"{limit.window_s:g}"}:
        return f"RateLimit-Policy is {answer.got['ietf_policy']!r}, not {limit.limit} in {limit.window_s:g} s"
    if fields[1].get("r") != str(answer.got["remaining"]):
        return f"RateLimit is {answer.got['ietf']!r} beside X-RateLimit-Remaining {answer.got['remaining']}"
    return None


def _parameters(field: str) -> dict[str, str]:
    """The parameters of the first item of a structured field (RFC 9651): `"api";q=100;w=900`."""
    parts = field.partition(",")[0].split(";")[1:]
    return {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in parts)}
