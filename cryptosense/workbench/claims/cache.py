"""Claims about cached answers.

Operations: `tokens.read` (`sent.ids`; `got.version` is a digest of the body, `got.as_of` the moment at which the
upstream made it, `got.x_cache` what the service says), `tokens.invalidate`, `portfolios.read` and `portfolios.write`
(`seq`). Freshness is declared as `cache.ttl_s`, and `upstream.latency_s` is the least time that the upstream takes for
an answer. What is counted rather than seen (upstream calls, queries) is judged in `counts`.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.outcomes import LATE_S
from cryptosense.workbench.claims.reading import (
    CLOCK_SLACK_S,
    acquitted,
    convicted,
    declared,
    denied,
    nothing_to_judge,
    select,
    told,
)
from cryptosense.workbench.history import History, Operation, Outcome

_LENGTHENED = 1.1
"""A lifetime may be longer by a tenth, so that keys do not expire together."""
_AFTER_S = 0.1


def hits_are_hits(*, phase: str, ttl_s: float | None = None) -> Checker:
    """CACHE-1: what was answered once is a hit, with the same body, until its time is over or it is invalidated.

    A read is judged when another read of the same ids had been answered less than `ttl_s` before, counted from that
    answer's fetch at the earliest, and nothing invalidated in between.
    """

    def check(history: History) -> Finding:
        lifetime = ttl_s if ttl_s is not None else declared(history, "cache.ttl_s", phase=phase)
        if lifetime is None:
            return undecided("the cache's time to live is not declared")
        breaks = select(history, "tokens.invalidate", "portfolios.write", phase=phase)
        judged, missed = 0, list[tuple[Operation, Operation]]()
        for reads in _by_subject(select(history, "tokens.read", "portfolios.read", phase=phase)).values():
            for fetched, read in _reads_of_fresh_entries(reads, lifetime, breaks):
                judged += 1
                if read.got.get("x_cache", "hit") != "hit" or read.got.get("version") != fetched.got.get("version"):
                    missed.append((fetched, read))
        if not judged:
            return nothing_to_judge(history, phase, "second read within the time to live", expected=0)
        if missed:
            first, second = missed[0]
            reason = (
                f"{told(second)} ({second.got.get('x_cache', 'no outcome header')}) though {told(first)} had fetched "
                "the same and it was fresh; the usual causes are a key that is written under one name and read under "
                "another, and a cache in each instance's own memory"
            )
            return convicted(
                reason,
                [first, second],
                expected=0,
                observed=len(missed),
                unit="misses of fresh entries",
                samples=judged,
            )
        reason = f"{judged} reads of fresh entries were hits with the same body, whichever instance answered"
        return acquitted(reason, expected=0, observed=0, unit="misses of fresh entries", samples=judged)

    return check


def hits_are_fresh(*, phase: str, ttl_s: float) -> Checker:
    """No `hit` shows what had been shown longer than a lifetime before: an entry that never expires is no cache.

    It holds only where what is cached was seen to be replaced. A lifetime that the deployment declares goes before
    `ttl_s`.
    """

    def check(history: History) -> Finding:
        lifetime = declared(history, "cache.ttl_s", phase=phase) or ttl_s
        bound = _LENGTHENED * lifetime + _AFTER_S
        replaced, old, hits = 0, list[tuple[Operation, Operation]](), 0
        for reads in _by_subject(select(history, "tokens.read", phase=phase)).values():
            firsts: dict[str, Operation] = {}
            for read in sorted(reads, key=lambda read: read.completed_at):
                if read.status != 200 or read.got.get("version") is None:
                    continue
                first = firsts.setdefault(str(read.got["version"]), read)
                hits += read.got.get("x_cache") == "hit"
                if read.got.get("x_cache") == "hit" and read.invoked_at > first.completed_at + bound:
                    old.append((first, read))
            replaced += max(0, len(firsts) - 1)
        if not hits:
            return nothing_to_judge(history, phase, "hit", expected=0)
        if old:
            first, read = old[0]
            reason = (
                f"{told(read)} was called a hit {read.invoked_at - first.completed_at:.1f} s after {told(first)} had "
                f"brought the same, where an entry lives {lifetime:g} s"
            )
            return convicted(reason, [first, read], expected=0, observed=len(old), unit="outlived hits", samples=hits)
        if not replaced:
            return undecided("what was cached was never replaced, so its age does not show", expected=0, samples=hits)
        older = f"none of {hits} hits was older than a lifetime of {lifetime:g} s"
        reason = f"{older}, and the entry was replaced {replaced} times"
        return acquitted(reason, expected=0, observed=0, unit="outlived hits", samples=hits)

    return check


def never_stale_after_write(*, phase: str) -> Checker:
    """CACHE-4 for portfolios: a read sees every write that had been answered before it was asked.

    One writer per portfolio numbers its writes; a read of an older number convicts, whatever the interleaving.
    """

    def check(history: History) -> Finding:
        writes = [
            write
            for write in select(history, "portfolios.write", phase=phase)
            if write.outcome is Outcome.OK and isinstance(write.sent.get("seq"), int)
        ]
        reads = [read for read in select(history, "portfolios.read", phase=phase) if read.outcome is Outcome.OK]
        judged, stale = 0, list[tuple[Operation, Operation]]()
        for read in reads:
            before = [write for write in writes if write.actor == read.actor and write.completed_at <= read.invoked_at]
            if not before:
                continue
            judged += 1
            newest = max(before, key=lambda write: int(write.sent["seq"]))
            seen = read.got.get("seq")
            if seen is None or seen < newest.sent["seq"]:
                stale.append((newest, read))
        if not judged:
            return nothing_to_judge(history, phase, "read after a write", expected=0)
        if stale:
            write, read = stale[0]
            reason = (
                f"{told(write)} had been answered, and {told(read)} still showed the state before it "
                f"({read.got.get('seq')} instead of {write.sent['seq']}); the usual causes are an invalidation that "
                "misses a key or another instance's memory, and a value fetched before it that is stored after it"
            )
            return convicted(reason, [write, read], expected=0, observed=len(stale), unit="stale reads", samples=judged)
        reason = f"each of {judged} reads saw all writes that were answered before it"
        return acquitted(reason, expected=0, observed=0, unit="stale reads", samples=judged)

    return check


def never_stale_after_invalidation(*, phase: str, raced: bool = False) -> Checker:
    """CACHE-4, CACHE-5: after an invalidation no read shows what was fetched before it, in any list with the coin.

    A version is older than an invalidation when an answer had shown it before the invalidation was asked, or when the
    upstream made it so early that its fetch must have begun before. A read is judged only where one of the two can
    show: the list had been read before, or was being fetched, and the age of what was fetched can be told. With `raced`
    it holds only where one of the invalidations was asked and answered while a list with the coin was being fetched,
    which was then read again: one that came after the fetch shows nothing of the race.
    """

    def check(history: History) -> Finding:
        reads = [read for read in select(history, "tokens.read", phase=phase) if read.got.get("version")]
        drops = [drop for drop in select(history, "tokens.invalidate", phase=phase) if drop.outcome is Outcome.OK]
        latency = declared(history, "upstream.latency_s", phase=phase) or 0.0
        judged, races, stale = 0, 0, list[tuple[Operation, Operation, Operation | None]]()
        for drop in drops:
            for read in reads:
                if read.invoked_at < drop.completed_at or not _touches(drop, read):
                    continue
                races += _raced(read, reads, drop)
                shown = _shown_before(read, reads, drop)
                begun = _fetch_begun(read, history, latency)
                old = shown is not None or (begun is not None and begun < drop.invoked_at - LATE_S)
                judged += old or _would_show(read, reads, drop, history, latency)
                if old:
                    stale.append((drop, read, shown))
        if not judged:
            return nothing_to_judge(history, phase, "read after an invalidation of what was there", expected=0)
        if stale:
            drop, read, shown = min(stale, key=lambda item: item[2] is None)
            evidence = [drop, read, *([shown] if shown else [])]
            reason = (
                f"{told(drop)} had been answered, and {told(read)} still showed what was fetched before it; the usual "
                "causes are a fetch under way that stores its old value afterwards, and lists with the coin under "
                "other keys"
            )
            return convicted(reason, evidence, expected=0, observed=len(stale), unit="stale reads", samples=judged)
        if raced and not races:
            reason = "no invalidation was asked and answered while a fetch was under way, so nothing was raced"
            return undecided(reason, expected=0, unit="stale reads", samples=judged)
        reason = f"none of {judged} reads after an invalidation showed what was fetched before it"
        return acquitted(reason, expected=0, observed=0, unit="stale reads", samples=judged)

    return check


def denied_drop_drops_nothing(*, phase: str) -> Checker:
    """An invalidation that the limiter denied is not carried out: what was fresh before it is served after it."""

    def check(history: History) -> Finding:
        reads = [read for read in select(history, "tokens.read", phase=phase) if read.got.get("version")]
        drops = [drop for drop in select(history, "tokens.invalidate", phase=phase) if denied(drop)]
        lifetime = declared(history, "cache.ttl_s", phase=phase)
        if not drops or lifetime is None:
            return nothing_to_judge(history, phase, "invalidation that was denied", expected=0)
        judged, done = 0, list[tuple[Operation, Operation]]()
        for drop in drops:
            known = [read for read in reads if read.completed_at < drop.invoked_at and _touches(drop, read)]
            for read in (later for later in reads if later.invoked_at > drop.completed_at):
                same = [other for other in known if other.sent.get("ids") == read.sent.get("ids")]
                if not same or read.completed_at >= same[-1].invoked_at + lifetime:
                    continue
                judged += 1
                if read.got["version"] != same[-1].got["version"]:
                    done.append((drop, read))
        if not judged:
            return nothing_to_judge(history, phase, "read before and after a denied invalidation", expected=0)
        if done:
            drop, read = done[0]
            reason = (
                f"{told(drop)}, and yet {told(read)} showed a new fetch: the denied request did its work; the usual "
                "cause is a limiter that is asked after the handler, or beside it"
            )
            return convicted(reason, done[0], expected=0, observed=len(done), unit="fetched anew", samples=judged)
        reason = f"{judged} reads after a denied invalidation showed what had been there before it"
        return acquitted(reason, expected=0, observed=0, unit="fetched anew", samples=judged)

    return check


def same_subject_same_entry(*, phase: str) -> Checker:
    """CACHE-5: the same coins, however they are written (order, case, blanks, twice), are one entry.

    Reads with one `sent.subject` within the time to live must show one version.
    """

    def check(history: History) -> Finding:
        reads = [read for read in select(history, "tokens.read", phase=phase) if read.got.get("version")]
        lifetime = declared(history, "cache.ttl_s", phase=phase)
        groups = {key: found for key, found in _by_subject(reads).items() if len(found) > 1}
        samples = sum(map(len, groups.values()))
        if not samples or lifetime is None:
            return nothing_to_judge(history, phase, "second spelling of a list", expected=1)
        for subject, found in groups.items():
            first = found[0]
            other = next((read for read in found if read.got["version"] != first.got["version"]), None)
            if other is not None and other.completed_at < first.invoked_at + lifetime:
                reason = (
                    f"{first.sent.get('ids')!r} and {other.sent.get('ids')!r} name the same coins ({subject[1]}) and "
                    "were answered from two fetches; the usual cause is a key made of the list as it was sent"
                )
                versions = len({read.got["version"] for read in found})
                return convicted(
                    reason, [first, other], expected=1, observed=versions, unit="entries per list", samples=samples
                )
        reason = f"{samples} reads, each list in several spellings, were answered from one entry per list"
        return acquitted(reason, expected=1, observed=1, unit="entries per list", samples=samples)

    return check


def _by_subject(reads: Sequence[Operation]) -> dict[tuple[str, str], list[Operation]]:
    """Reads of the same thing: the list's `subject` (else its ids) for everybody, a portfolio's for its owner."""
    groups: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for read in reads:
        if read.kind.startswith("portfolios"):
            groups[read.actor, str(read.sent.get("portfolio"))].append(read)
        else:
            groups["", str(read.sent.get("subject") or read.sent.get("ids"))].append(read)
    return dict(groups)


def _reads_of_fresh_entries(
    reads: Sequence[Operation], lifetime: float, breaks: Sequence[Operation]
) -> Iterator[tuple[Operation, Operation]]:
    """Each read that must be a hit, with the one that had fetched the entry."""
    fetched: Operation | None = None
    for read in reads:
        if read.outcome is not Outcome.OK:
            continue
        if fetched is not None and _still_fresh(fetched, read, lifetime, breaks):
            yield fetched, read
        elif read.got.get("x_cache") in {"miss", None}:
            fetched = read


def _still_fresh(fetched: Operation, read: Operation, lifetime: float, breaks: Sequence[Operation]) -> bool:
    in_time = fetched.completed_at <= read.invoked_at and read.completed_at < fetched.invoked_at + lifetime
    return in_time and not any(
        (broken.completed_at >= fetched.invoked_at and broken.invoked_at <= read.completed_at)
        and (broken.kind == "tokens.invalidate") == (read.kind == "tokens.read")
        for broken in breaks
    )


def _touches(drop: Operation, read: Operation) -> bool:
    coins = {coin.strip().lower() for coin in str(drop.sent.get("ids") or "").split(",") if coin.strip()}
    listed = {coin.strip().lower() for coin in str(read.sent.get("ids") or "").split(",")}
    return not coins or bool(coins & listed)


def _would_show(read: Operation, reads: Sequence[Operation], drop: Operation, history: History, latency: float) -> bool:
    """Whether something older than the invalidation was there to be shown, and would be known as such."""
    same = [other for other in reads if other.sent.get("ids") == read.sent.get("ids")]
    if any(other.completed_at < drop.invoked_at - CLOCK_SLACK_S for other in same):
        return True
    before = drop.invoked_at - LATE_S
    under_way = [other for other in same if other.invoked_at < before and other.completed_at > drop.invoked_at]
    begun = [moment for other in under_way if (moment := _fetch_begun(other, history, latency)) is not None]
    return bool(begun) and (latency > 0 or min(begun) < before)


def _raced(read: Operation, reads: Sequence[Operation], drop: Operation) -> bool:
    """Whether the list that is read after the invalidation was being fetched from before its call past its answer."""
    return any(
        other.sent.get("ids") == read.sent.get("ids")
        and other.invoked_at < drop.invoked_at
        and drop.completed_at < other.completed_at <= read.invoked_at
        and other.got.get("x_cache") not in {"hit", "stale"}
        for other in reads
    )


def _shown_before(read: Operation, reads: Sequence[Operation], drop: Operation) -> Operation | None:
    """An answer with this version that had come before the invalidation was asked."""
    return next(
        (
            other
            for other in reads
            if other.got["version"] == read.got["version"] and other.completed_at < drop.invoked_at - CLOCK_SLACK_S
        ),
        None,
    )


def _fetch_begun(read: Operation, history: History, latency: float) -> float | None:
    """The latest moment at which the fetch of this answer can have begun, in seconds of the history."""
    as_of = read.got.get("as_of")
    return None if as_of is None else float(as_of) - history.started_at - latency
