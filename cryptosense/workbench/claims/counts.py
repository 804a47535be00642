"""Checkers of what was spent: upstream calls and database queries, by counters that are read around a phase.

A counter is a series of observations that only grows; its increase over a phase is the last reading within the phase
less the first, summed over the instances that report it.
"""

from collections import defaultdict
from collections.abc import Sequence
from math import floor

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.latency import served
from cryptosense.workbench.claims.noise import unless_noisy
from cryptosense.workbench.claims.reading import acquitted, convicted, declared, nothing_to_judge, told
from cryptosense.workbench.history import History, Observation, Operation, Span, SpanKind
from cryptosense.workbench.verdicts import Verdict

PLAN_TTL_S = 30.0
"""The plan's cache lifetime, by which its two calls a minute are reckoned."""

_UNFETCHED = "by its count nothing was fetched at all: what was read was cached before, or the count does not move"


def phases(history: History, name: str) -> list[Span]:
    """The phases of that name, or whose name is `name` and a number (`stampede 2`)."""
    found = history.spans(SpanKind.PHASE)
    return [span for span in found if span.name == name or span.name.startswith(f"{name} ")]


def increase(history: History, counter: str, span: Span) -> float | None:
    """What the counter grew by within the span; None unless every series of it was read at least twice there."""
    series: dict[tuple[tuple[str, str], ...], list[Observation]] = defaultdict(list)
    for reading in history.observations(counter):
        if span.started_at <= reading.at <= span.ended_at:
            series[tuple(sorted(reading.labels.items()))].append(reading)
    if not series or any(len(readings) < 2 for readings in series.values()):
        return None
    return sum(readings[-1].value - readings[0].value for readings in series.values())


def one_fetch_per_expiry(kind: str, *, phase: str, counter: str = "upstream.calls") -> Checker:
    """Checks that each phase of that name costs one upstream call, and that nobody who waits for it goes empty-handed.

    In each many callers miss one key together, or go on asking for it while it expires.
    Where the upstream cannot be counted, callers that were given differing fetches (`got["version"]`) still convict;
    equal ones do not acquit.
    """

    def check(history: History) -> Finding:
        rounds = phases(history, phase)
        asked = {span.name: served(history, kind, span.name) for span in rounds}
        if not rounds or not any(asked.values()):
            return nothing_to_judge(history, phase, "simultaneous cold read", expected=1)
        counted = {span.name: increase(history, counter, span) for span in rounds}
        known = {name: calls for name, calls in counted.items() if calls is not None}
        samples = sum(len(operations) for operations in asked.values())
        if empty := _refused(history, kind, rounds):
            return convicted(
                f"{len(empty)} of {samples + len(empty)} callers who missed one key together were given nothing, first "
                f"{told(empty[0])}: those who wait must get what the one fetches",
                empty[:1],
                expected=0,
                observed=len(empty),
                unit="callers without the value",
                samples=samples + len(empty),
            )
        if not known:
            return _by_versions(history, kind, asked, samples)
        worst = max(known, key=lambda name: known[name])
        apart = [name for name, operations in asked.items() if most_at_once(operations) < 2]
        if known[worst] > 1:
            return _stampeded(history, asked[worst], known[worst], samples)
        if apart:
            return undecided(f"in {', '.join(apart)} no two callers asked at the same time, so none waited", expected=1)
        unfetched = [name for name, calls in known.items() if calls < 1]
        if unfetched:
            return undecided(f"nothing was fetched in {', '.join(unfetched)}: its key was not cold", expected=1)
        return acquitted(
            f"{len(known)} expiries, {samples} callers, one upstream call each",
            expected=1,
            observed=known[worst],
            unit="upstream calls per expiry",
            samples=samples,
        )

    return check


def _stampeded(history: History, asked: Sequence[Operation], calls: float, samples: int) -> Finding:
    """Convicts, except where answers say that they went past a store that a busy machine had made slow."""
    found = convicted(
        f"{len(asked)} callers who missed one key together cost {calls:.0f} upstream calls: "
        "nothing makes them wait for the first one's fetch",
        _fetchers(asked),
        expected=1,
        observed=calls,
        unit="upstream calls per expiry",
        samples=samples,
    )
    if all(operation.got.get("x_cache") != "bypass" for operation in asked):
        return found
    return unless_noisy(found, history, asked[0].invoked_at, max(operation.completed_at for operation in asked))


def most_at_once(operations: Sequence[Operation]) -> int:
    """The most of the operations that were under way at one moment."""
    return max(
        (sum(other.invoked_at <= op.invoked_at < other.completed_at for other in operations) for op in operations),
        default=0,
    )


def _refused(history: History, kind: str, rounds: Sequence[Span]) -> list[Operation]:
    """What was answered with a failure; a request that got no answer shows nothing."""
    asked = [operation for span in rounds for operation in history.operations(kind, phase=span.name)]
    return [operation for operation in asked if operation.status is not None and operation.status >= 500]


def _by_versions(history: History, kind: str, asked: dict[str, list[Operation]], samples: int) -> Finding:
    for name, operations in asked.items():
        began = min((operation.invoked_at for operation in operations), default=0.0)
        # What had been shown before is no fetch of this round: a crowd that asks while a key expires sees it first.
        known = {op.got.get("version") for op in history.operations(kind) if op.completed_at <= began}
        new = [op for op in operations if op.got.get("version") and op.got["version"] not in known]
        firsts = {operation.got["version"]: operation for operation in new}
        if len(firsts) > 1:
            return convicted(
                f"simultaneous cold reads in phase '{name}' were answered from {len(firsts)} different fetches",
                list(firsts.values()),
                expected=1,
                observed=len(firsts),
                unit="fetches per expiry",
                samples=samples,
            )
    reason = "equal answers do not prove one call; to have calls counted provide [upstream] calls_url"
    return undecided(reason, expected=1)


def _fetchers(operations: Sequence[Operation]) -> list[Operation]:
    missed = [operation for operation in operations if operation.got.get("x_cache") == "miss"]
    return (missed or list(operations))[:2]


def upstream_rate(kind: str, *, phase: str, ttl_s: float, counter: str = "upstream.calls") -> Checker:
    """Checks that polling one list costs one upstream call per lifetime: the plan's two a minute at 30 s.

    Time may be compressed: with `ttl_s` below 30 the figure is reckoned per 30 s of the plan's time. The first call
    fills the cache; the rest are refreshes, at most one per whole lifetime. A lifetime that the deployment declares
    goes before `ttl_s`.
    """

    def check(history: History) -> Finding:
        lifetime = declared(history, "cache.ttl_s", phase=phase) or ttl_s
        asked = served(history, kind, phase)
        spans = phases(history, phase)
        if not asked or not spans:
            return nothing_to_judge(history, phase, "poll", expected="at most 2")
        calls = increase(history, counter, spans[0])
        if calls is None:
            return undecided("upstream calls cannot be counted here", expected="at most 2", samples=len(asked))
        if calls < 1:
            return undecided(_UNFETCHED, expected="at most 2", samples=len(asked))
        lifetimes = (asked[-1].completed_at - asked[0].invoked_at) / lifetime
        if lifetimes < 2:
            return undecided(f"polled for {lifetimes:.1f} lifetimes only; two are needed", expected="at most 2")
        per_minute = 60 / PLAN_TTL_S / lifetimes
        refreshes, polls = max(0.0, calls - 1) * per_minute, len(asked) * per_minute
        instances = len({operation.instance for operation in asked})
        figures = f"{polls:.0f} reads a minute on {instances} instances cost {refreshes:.1f} refreshes a minute"
        figures += (
            "" if lifetime == PLAN_TTL_S else f" (time runs {PLAN_TTL_S / lifetime:.3g} times as fast as in the plan)"
        )
        kept = calls <= floor(lifetimes) + 1
        if kept and polls < 5 * refreshes:
            return undecided(f"{figures}: too few reads to show a cache", expected="at most 2", samples=len(asked))
        return Finding(
            Verdict.HOLDS if kept else Verdict.VIOLATED,
            "at most 2",
            round(refreshes, 2),
            "upstream calls/min",
            len(asked),
            figures if kept else f"{figures}: {calls:.0f} calls in {lifetimes:.1f} lifetimes",
        )

    return check


def queries_saved(
    read: str,
    write: str,
    *,
    cold: str,
    writes: str,
    mixed: str,
    at_least: float = 0.70,
    counter: str = "database.queries",
) -> Checker:
    """Checks that a read-mostly workload costs so much less in database queries than the same one uncached.

    What one uncached read and one write cost is measured in phases `cold` (each read is a first one) and `writes`; the
    uncached cost of phase `mixed` is its reads and writes at those prices. Its own count is all of its queries.
    """

    def check(history: History) -> Finding:
        prices = _price(history, counter, read, cold), _price(history, counter, write, writes)
        reads, changes = served(history, read, mixed), served(history, write, mixed)
        spans = phases(history, mixed)
        if not spans or not reads:
            return nothing_to_judge(history, mixed, "portfolio read", expected=at_least)
        spent = increase(history, counter, spans[0])
        per_read, per_write = prices
        if spent is None or per_read is None or per_write is None:
            return undecided("database queries cannot be counted here", expected=at_least, samples=len(reads))
        if not changes:
            return undecided("no write was served, and only reading is no such workload", expected=at_least)
        if spent < len(changes):
            return undecided(
                f"{len(changes)} writes were served and {spent:.0f} queries counted: the count does not move",
                expected=at_least,
                samples=len(reads) + len(changes),
            )
        uncached = len(reads) * per_read + len(changes) * per_write
        if uncached <= 0:
            return undecided("an uncached read cost no query, so there is nothing to save", expected=at_least)
        saved = 1 - spent / uncached
        hits = sum(operation.got.get("x_cache") == "hit" for operation in reads)
        return Finding(
            Verdict.HOLDS if saved >= at_least else Verdict.VIOLATED,
            f"at least {at_least:.0%}",
            round(saved, 4),
            "share of queries saved",
            len(reads) + len(changes),
            f"{len(reads)} reads and {len(changes)} writes cost {spent:.0f} queries, uncached {uncached:.0f} "
            f"({per_read:.1f} a read, {per_write:.1f} a write); hit ratio {hits / len(reads):.0%}",
        )

    return check


def _price(history: History, counter: str, kind: str, phase: str) -> float | None:
    spans, operations = phases(history, phase), served(history, kind, phase)
    spent = increase(history, counter, spans[0]) if spans else None
    return None if spent is None or not operations else spent / len(operations)


def spent_at_most(kind: str, *, phase: str, at_most: float, unit: str, counter: str = "upstream.calls") -> Checker:
    """Checks that the counter grew by at most so much over the phase, in which operations of `kind` were served."""

    def check(history: History) -> Finding:
        asked, spans = served(history, kind, phase), phases(history, phase)
        if not asked or not spans:
            return nothing_to_judge(history, phase, "answered read", expected=at_most)
        spent = increase(history, counter, spans[0])
        if spent is None:
            return undecided("it cannot be counted here: give [upstream] calls_url", expected=at_most)
        if spent < 1:
            return undecided(_UNFETCHED, expected=at_most, unit=unit, samples=len(asked))
        instances = len({operation.instance for operation in asked})
        reason = f"{len(asked)} reads over {instances} instances cost {spent:.0f} {unit} where {at_most:g} are due"
        if spent > at_most:
            reason += "; the usual cause is a cache in each instance's own memory, or no lease for the one that fetches"
            return convicted(reason, _fetchers(asked), expected=at_most, observed=spent, unit=unit, samples=len(asked))
        return acquitted(reason, expected=at_most, observed=spent, unit=unit, samples=len(asked))

    return check
