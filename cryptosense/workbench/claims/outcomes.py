"""Claims about the word by which an answer says how it was served: that it is there, and that it is true.

The words are read beside what the service does not tell: the upstream's own count of calls (`upstream.calls`, read
around a phase, label `coins`), and the moment at which the upstream made what an answer shows (`got.as_of`). A read is
alone when no other read of its list was under way as it was asked: nobody's fetch can have served it but its own.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cryptosense.workbench.claims.claim import Checker, Figure, Finding, undecided
from cryptosense.workbench.claims.reading import (
    CLOCK_SLACK_S,
    acquitted,
    convicted,
    nothing_to_judge,
    select,
    told,
    untold,
)
from cryptosense.workbench.history import History, Operation, Outcome, SpanKind

OUTCOMES = ("hit", "stale", "miss", "negative", "bypass")
LATE_S = 0.02
"""What the upstream's wall clock and ours may be apart."""


@dataclass(frozen=True, slots=True)
class _Lie:
    """What is wrong with the words of some answers, which it names."""

    what: str
    answers: Sequence[Operation]


@dataclass(frozen=True, slots=True)
class _Counted:
    """All reads of one list in a phase, and how often the upstream was asked for it meanwhile."""

    reads: Sequence[Operation]
    calls: int


def outcome_is_told(*, phase: str | None = None, kinds: Sequence[str] = ("tokens.read", "portfolios.read")) -> Checker:
    """CACHE-7: every answer that a cache may serve says how it was served, in one of the five words, and truly.

    A word convicts where the upstream was asked though every answer was a `hit`, where it was asked less often than
    reads that were alone said `miss`, and where a read that was alone shows a value made after it was asked (`hit`) or,
    where the upstream is the run's own, before it (`miss`). Where no word can be held against any of this, it is
    UNDECIDED.
    """

    def check(history: History) -> Finding:
        answers = [read for read in select(history, *kinds, phase=phase) if read.outcome is Outcome.OK]
        if not answers:
            return nothing_to_judge(history, phase, "answered read", expected=0)
        if reason := untold(history, "outcome"):
            return undecided(reason, expected=0, unit="answers", samples=len(answers))
        silent = [read for read in answers if read.got.get("x_cache") not in OUTCOMES]
        if silent:
            said: Figure = silent[0].got.get("x_cache")
            reason = f"{told(silent[0])} and said {said!r} about the cache, where one of {', '.join(OUTCOMES)} is due"
            return convicted(reason, silent[:1], expected=0, observed=len(silent), unit="answers", samples=len(answers))
        checked, lies = _held_against_facts(history, phase)
        if lies:
            first = lies[0].answers[0]
            return convicted(
                f"{lies[0].what}, first {told(first)}, which said {first.got.get('x_cache')!r}",
                lies[0].answers,
                expected=0,
                observed=len(lies),
                unit="untrue words",
                samples=len(answers),
            )
        if not checked:
            return undecided(
                "each answer said how it was served, and nothing shows whether that is true: to have the upstream's "
                "calls counted provide [upstream] calls_url",
                expected=0,
                unit="answers",
                samples=len(answers),
            )
        words = ", ".join(sorted({str(read.got["x_cache"]) for read in answers}))
        reason = (
            f"each of {len(answers)} answers said how it was served ({words}); {checked} of them were put to the test"
        )
        return acquitted(reason, expected=0, observed=0, unit="answers", samples=len(answers))

    return check


def outage_is_no_miss(*, phase: str) -> Checker:
    """CACHE-7: while the store is away an answer says `bypass` (or `stale`), never `miss`: nobody looked."""

    def check(history: History) -> Finding:
        answers = [read for read in select(history, "tokens.read", phase=phase) if read.outcome is Outcome.OK]
        if not answers:
            return nothing_to_judge(history, phase, "answered read during the outage", expected=0)
        if unsaid := untold(history, "outcome"):
            return undecided(unsaid, expected=0, unit="answers", samples=len(answers))
        wrong = [read for read in answers if read.got.get("x_cache") not in {"bypass", "stale", "negative"}]
        if wrong:
            reason = (
                f"{told(wrong[0])} and said {wrong[0].got.get('x_cache')!r} while the store was away; the usual "
                "cause is an error of the store that is taken for an empty cache, which sends every request upstream"
            )
            return convicted(reason, wrong[:1], expected=0, observed=len(wrong), unit="answers", samples=len(answers))
        reason = f"each of {len(answers)} answers during the outage said that the cache was bypassed"
        return acquitted(reason, expected=0, observed=0, unit="answers", samples=len(answers))

    return check


def _held_against_facts(history: History, phase: str | None) -> tuple[int, list[_Lie]]:
    """How many answers were held against the upstream's count or its stamps, and what was found to be untrue."""
    checked, lies = set[int](), list[_Lie]()
    for counted in _counted(history, phase):
        checked.update(read.id for read in counted.reads)
        lies += _against_the_count(counted)
    ours = {item.labels.get("phase", "") for item in history.observations("upstream.latency_s") if item.value > 0}
    for reads in _by_list(history.operations("tokens.read")).values():
        for read in _alone(reads):
            if phase in {None, read.phase} and read.status == 200:
                lie = _against_the_stamp(history, read, ours=read.phase in ours)
                checked.update([read.id] if lie is not None else [])
                lies += [_Lie(lie, [read])] if lie else []
    return len(checked), lies


def _against_the_count(counted: _Counted) -> list[_Lie]:
    hits = [read for read in counted.reads if read.got.get("x_cache") == "hit"]
    asked = f"and the upstream was asked {counted.calls} times"
    if counted.calls >= 1 and len(hits) == len(counted.reads):
        return [_Lie(f"all {len(hits)} answers were called hits, {asked}", hits[:2])]
    fetched = [read for read in _alone(counted.reads) if read.status == 200 and read.got.get("x_cache") == "miss"]
    if len(fetched) > counted.calls:
        what = f"{len(fetched)} reads, one after the other, said that they were fetched, {asked}"
        return [_Lie(what, fetched[: counted.calls + 1])]
    return []


def _against_the_stamp(history: History, read: Operation, *, ours: bool) -> str | None:
    """What the moment at which the value was made says against the word; empty where nothing, None where it is unknown.

    Somebody else's upstream may show a value that it had made long before it was asked; `ours` makes it then.
    """
    as_of, word = read.got.get("as_of"), read.got.get("x_cache")
    if as_of is None or word not in {"hit", "miss"}:
        return None
    age = read.invoked_at - (float(as_of) - history.started_at)
    if word == "hit":
        return "a value that was made only after it was asked for was called a hit" if age < -LATE_S else ""
    if not ours:
        return None
    return "a value that had been made before it was asked for was called fetched" if age > LATE_S else ""


def _counted(history: History, phase: str | None) -> Iterator[_Counted]:
    """Every list whose upstream calls were read around a phase in which nobody else asked for it."""
    every_reading, lists = history.observations("upstream.calls"), _by_list(history.operations("tokens.read"))
    for span in history.spans(SpanKind.PHASE):
        if phase not in {None, span.name}:
            continue
        readings = [item for item in every_reading if span.started_at <= item.at <= span.ended_at]
        for coins in {item.labels["coins"] for item in readings if "coins" in item.labels}:
            values = [item for item in readings if item.labels.get("coins") == coins]
            about = [
                read
                for read in lists.get(_coins(coins), [])
                if read.completed_at >= span.started_at and read.invoked_at <= span.ended_at
            ]
            inside = all(values[0].at <= read.invoked_at and read.completed_at <= values[-1].at for read in about)
            if len(values) > 1 and about and inside:
                yield _Counted(about, round(values[-1].value - values[0].value))


def _alone(reads: Sequence[Operation]) -> list[Operation]:
    """Those that were asked while no other of the reads was under way; one without an answer may be so for ever."""
    ordered = sorted(reads, key=lambda read: read.invoked_at)
    busy_until, found = float("-inf"), list[Operation]()
    for read, later in zip(ordered, [*ordered[1:], None], strict=True):
        next_at = float("inf") if later is None else later.invoked_at
        if busy_until < read.invoked_at - CLOCK_SLACK_S and next_at > read.invoked_at + CLOCK_SLACK_S:
            found.append(read)
        busy_until = max(busy_until, float("inf") if read.status is None else read.completed_at)
    return found


def _by_list(reads: Sequence[Operation]) -> Mapping[frozenset[str], list[Operation]]:
    groups: dict[frozenset[str], list[Operation]] = defaultdict(list)
    for read in reads:
        groups[_list(read)].append(read)
    return groups


def _list(read: Operation) -> frozenset[str]:
    return _coins(str(read.sent.get("ids") or ""))


def _coins(written: str) -> frozenset[str]:
    return frozenset(coin.strip().lower() for coin in written.split(",") if coin.strip())
