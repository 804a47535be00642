"""Checkers of what a cache does in trouble: an invalidation during a fetch, and an upstream that fails."""

from collections.abc import Sequence

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.counts import increase, phases
from cryptosense.workbench.claims.reading import acquitted, convicted, nothing_to_judge, told
from cryptosense.workbench.history import History, Operation
from cryptosense.workbench.verdicts import Verdict


def fetched_again_after_invalidation(*, phase: str, counter: str = "upstream.calls") -> Checker:
    """Checks each round in which a key was invalidated while its fetch was under way: a later read fetches again.

    A round is a phase with one `tokens.read` under way, one good `tokens.invalidate` within it and one read after
    both. One upstream call for all of it means that the value of before the invalidation was stored after it.
    """

    def check(history: History) -> Finding:
        rounds, stale = 0, list[tuple[Operation, Operation]]()
        for span in phases(history, phase):
            found = _round(history, span.name)
            calls = increase(history, counter, span)
            if found is None or calls is None or calls < 1:
                continue
            rounds += 1
            first, later = found
            if calls < 2:
                stale.append((first, later))
        if not rounds:
            return nothing_to_judge(history, phase, "invalidation during a fetch, with upstream calls counted")
        if stale:
            first, later = stale[0]
            return convicted(
                f"{told(later)} was asked after the invalidation and yet served what {told(first)} had begun to fetch "
                "before it: nothing voids a fetch under way",
                stale[0],
                expected=0,
                observed=len(stale),
                unit="stale rounds",
                samples=rounds,
            )
        reason = f"in {rounds} rounds the read after the invalidation was fetched anew"
        return acquitted(reason, expected=0, observed=0, unit="stale rounds", samples=rounds)

    return check


def _round(history: History, phase: str) -> tuple[Operation, Operation] | None:
    """The read during which the invalidation was answered, and the read after both; None where it was too late."""
    reads = history.operations("tokens.read", phase=phase)
    drops = [op for op in history.operations("tokens.invalidate", phase=phase) if op.status and op.status < 300]
    if len(reads) != 2 or len(drops) != 1:
        return None
    first, later = reads
    raced = first.invoked_at < drops[0].invoked_at and drops[0].completed_at < first.completed_at
    after = later.invoked_at >= max(first.completed_at, drops[0].completed_at)
    both = first.status == later.status == 200
    return (first, later) if raced and after and both else None


def last_good_value_served(*, phase: str) -> Checker:
    """Checks that every read of a list that had been fetched before is answered while the upstream fails.

    Each answer has to be one and the same value (`version`), and the one from before where that is known. An answer
    from after the value's freshness has to say so (`stale`); without such a one nothing was shown, and one that calls
    itself fetched (`miss`, `bypass`) from an upstream that fails is no such value.
    """

    def check(history: History) -> Finding:
        reads = history.operations("tokens.read", phase=phase)
        if not reads:
            return nothing_to_judge(history, phase, "read in an upstream outage", expected=0)
        refused = [read for read in reads if read.status != 200]
        if refused:
            return convicted(
                f"{len(refused)} of {len(reads)} reads of a list that is known failed with the upstream, first "
                f"{told(refused[0])}: the last good value is dropped at its expiry instead of being kept for this",
                refused[:1],
                expected=0,
                observed=len(refused),
                unit="failed reads",
                samples=len(reads),
            )
        if wrong := _not_the_last_good_value(history, reads):
            return convicted(
                f"{told(wrong[-1])} and brought another value than the last good one, or called it "
                f"{wrong[-1].got.get('x_cache')!r}, while the upstream failed",
                wrong,
                expected=0,
                observed=1,
                unit="other values",
                samples=len(reads),
            )
        stale = sum(read.got.get("x_cache") == "stale" for read in reads)
        if not stale:
            return undecided("no answer was marked stale, so none shows the outage", expected=0, samples=len(reads))
        reason = f"{len(reads)} reads, all answered, {stale} of them marked stale"
        return acquitted(reason, expected=0, observed=0, unit="failed reads", samples=len(reads))

    return check


def _not_the_last_good_value(history: History, reads: Sequence[Operation]) -> list[Operation]:
    """The first answer that differs from the last one before the outage, or from the outage's first, with that one."""
    same = [op for op in history.operations("tokens.read") if op.sent.get("ids") == reads[0].sent.get("ids")]
    before = [op for op in same if op.completed_at <= reads[0].invoked_at and op.status == 200]
    good = [*before[-1:], *reads][0]
    for read in reads:
        other = read.got.get("version") != good.got.get("version")
        if other or read.got.get("x_cache") in {"miss", "bypass"}:
            return [good, read] if read.id != good.id else [read]
    return []


def failing_upstream_spared(*, phase: str, reads_per_call: float, counter: str = "upstream.calls") -> Checker:
    """Checks that a failing upstream is asked at most once for so many reads: failures are remembered for a while.

    An upstream that was never asked was spared by nobody's memory, and reads that were answered did not meet a failing
    one: neither shows anything.
    """

    def check(history: History) -> Finding:
        reads, spans = history.operations("tokens.read", phase=phase), phases(history, phase)
        expected = f"at least {reads_per_call:g}"
        if not reads or not spans:
            return nothing_to_judge(history, phase, "read in an upstream outage", expected=expected)
        calls = increase(history, counter, spans[0])
        if calls is None:
            return undecided("upstream calls cannot be counted here", expected=expected, samples=len(reads))
        failed = sum(read.status is not None and read.status >= 500 for read in reads)
        if calls < 1 or not failed:
            return undecided(
                f"{failed} of {len(reads)} reads failed and the upstream counted {calls:.0f} calls, so a failure that "
                "could be remembered was not seen",
                expected=expected,
                samples=len(reads),
            )
        per_call = len(reads) / calls
        return Finding(
            Verdict.HOLDS if per_call >= reads_per_call else Verdict.VIOLATED,
            expected,
            round(per_call, 2),
            "reads per upstream call",
            len(reads),
            f"{len(reads)} reads reached the failing upstream {calls:.0f} times",
        )

    return check
