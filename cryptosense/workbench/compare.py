"""What changed from one run to another, so told that noise is not reported as change.

Verdicts are compared claim by claim. Figures are compared where both runs give one with an interval under the same
parameters; all of them together are one family of comparisons, corrected for its number (Holm), and a difference counts
only beyond a minimum effect, since two runs on a shared machine differ by more than either run's own interval knows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptosense.workbench.measures import Estimate, holm, p_value_of_difference
from cryptosense.workbench.report.wording import counted, figure, observed
from cryptosense.workbench.results import RESULTS, ClaimResult, ExperimentResult, RunResults
from cryptosense.workbench.verdicts import Verdict

MINIMUM_EFFECT = 0.25
"""The share by which a figure must differ to count: between two runs of one program, timings wander by about this."""

_ALPHA = 0.05


class Kind(StrEnum):
    """What became of a claim; the first three are regressions. Listed in the order in which they are shown."""

    WORSE = "worse"
    GONE = "gone"
    FIGURE_WORSE = "figure worse"
    UNSETTLED = "no longer decided"
    BETTER = "better"
    SETTLED = "now decided"
    FIGURE_BETTER = "figure better"
    FIGURE_CHANGED = "figure changed"
    NEW = "new"


REGRESSIONS = frozenset({Kind.WORSE, Kind.GONE, Kind.FIGURE_WORSE})


@dataclass(frozen=True, slots=True)
class Change:
    """One claim that came out differently; `told` is one sentence."""

    experiment: str
    claim: str
    kind: Kind
    told: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`notes` say what could not be compared and why; `figures` counts those that were."""

    before: str
    after: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    claims: int
    figures: int

    @property
    def regression(self) -> bool:
        """Whether CI should stop on it."""
        return any(change.kind in REGRESSIONS for change in self.changes)

    def lines(self) -> list[str]:
        """The comparison as lines of text, regressions first."""
        compared = f"{counted(self.claims, 'claim')} and {counted(self.figures, 'figure')} compared"
        head = f"{self.before} → {self.after}: {compared}"
        listed = [
            f"  {change.kind:<17}  {change.experiment} · {change.claim}: {change.told}" for change in self.changes
        ]
        verdict = "A regression." if self.regression else "No regression."
        return [
            head,
            *(listed or ["  nothing changed beyond noise"]),
            *(f"  note: {note}" for note in self.notes),
            verdict,
        ]


def compare_runs(before: Path, after: Path, *, minimum_effect: float = MINIMUM_EFFECT) -> Comparison:
    """Compares two runs' folders, the earlier first.

    Raises:
        WorkbenchError: a folder has no readable `results.json`.
    """
    return compare(RunResults.read(before / RESULTS), RunResults.read(after / RESULTS), minimum_effect=minimum_effect)


def compare(before: RunResults, after: RunResults, *, minimum_effect: float = MINIMUM_EFFECT) -> Comparison:
    """Compares the results of two runs, the earlier first. Experiments that only one of them ran are noted."""
    was = {experiment.name: experiment for experiment in before.experiments}
    now = {experiment.name: experiment for experiment in after.experiments}
    both = [name for name in was if name in now]
    changes = [change for name in both for change in _verdicts(was[name], now[name])]
    pairs = [pair for name in both if _comparable(was[name], now[name]) for pair in _figures(was[name], now[name])]
    changes += _judged(pairs, minimum_effect)
    order = list(Kind)
    return Comparison(
        before.run_id,
        after.run_id,
        tuple(sorted(changes, key=lambda change: order.index(change.kind))),
        tuple(_notes(before, after, was, now)),
        sum(len(_claims(now[name])) for name in both),
        len(pairs),
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    experiment: str
    before: ClaimResult
    after: ClaimResult
    figures: tuple[Estimate, Estimate]

    @property
    def effect(self) -> float:
        """The difference as a share of the earlier figure."""
        was, now = (one.value for one in self.figures)
        return float("inf") if was == 0 else abs(now - was) / abs(was)


def _claims(experiment: ExperimentResult) -> dict[str, ClaimResult]:
    return {claim.id: claim for claim in experiment.claims if not claim.advisory}


def _verdicts(before: ExperimentResult, after: ExperimentResult) -> Iterator[Change]:
    was, now = _claims(before), _claims(after)
    for name, claim in was.items():
        if name not in now:
            kind = Kind.GONE if claim.counts_as is Verdict.HOLDS else Kind.BETTER
            yield Change(after.name, name, kind, f"was {claim.counts_as}, is judged no more")
        elif claim.counts_as is not now[name].counts_as:
            yield _turned(after.name, claim, now[name])
    for name, claim in now.items():
        if name not in was:
            kind = Kind.WORSE if claim.counts_as is Verdict.VIOLATED else Kind.NEW
            yield Change(after.name, name, kind, f"was not judged, is {claim.counts_as}")


def _turned(experiment: str, before: ClaimResult, after: ClaimResult) -> Change:
    kind = {
        (Verdict.HOLDS, Verdict.UNDECIDED): Kind.UNSETTLED,
        (Verdict.UNDECIDED, Verdict.HOLDS): Kind.SETTLED,
        (Verdict.VIOLATED, Verdict.HOLDS): Kind.BETTER,
        (Verdict.VIOLATED, Verdict.UNDECIDED): Kind.UNSETTLED,
    }.get((before.counts_as, after.counts_as), Kind.WORSE)
    control = " (a control: it should be caught)" if after.control else ""
    told = f"{before.counts_as} → {after.counts_as}{control}, {observed(before)} → {observed(after)}; {after.reason}"
    return Change(experiment, after.id, kind, told)


def _comparable(before: ExperimentResult, after: ExperimentResult) -> bool:
    return before.parameters == after.parameters and not before.reason and not after.reason


def _figures(before: ExperimentResult, after: ExperimentResult) -> Iterator[_Pair]:
    """Claims of the service itself (a control's figure is nobody's progress) with an interval in both runs."""
    was, now = _claims(before), _claims(after)
    for name, claim in was.items():
        later = now.get(name)
        if later is None or claim.control or claim.unit != later.unit:
            continue
        one, other = _estimate(claim), _estimate(later)
        if one is not None and other is not None:
            yield _Pair(after.name, claim, later, (one, other))


def _estimate(claim: ClaimResult) -> Estimate | None:
    if claim.interval is None or not isinstance(claim.observed, int | float) or not claim.samples:
        return None
    return Estimate(float(claim.observed), *claim.interval, claim.samples)


def _judged(pairs: Sequence[_Pair], minimum_effect: float) -> list[Change]:
    corrected = holm([p_value_of_difference(*pair.figures) for pair in pairs])
    return [
        _moved(pair, p)
        for pair, p in zip(pairs, corrected, strict=True)
        if p < _ALPHA and pair.effect >= minimum_effect
    ]


def _moved(pair: _Pair, p: float) -> Change:
    was, now = (one.value for one in pair.figures)
    more_is_better = _more_is_better(pair.after)
    if more_is_better is None:
        kind = Kind.FIGURE_CHANGED
    else:
        kind = Kind.FIGURE_BETTER if (now > was) is more_is_better else Kind.FIGURE_WORSE
    share = "" if pair.effect == float("inf") else f", {(now - was) / abs(was):+.0%}"
    told = (
        f"{observed(pair.before)} → {observed(pair.after)}{share}, expected {figure(pair.after.expected)} "
        f"(p = {p:.2g}, corrected)"
    )
    return Change(pair.experiment, pair.after.id, kind, told)


def _more_is_better(claim: ClaimResult) -> bool | None:
    """Which way is better, from what was expected; None where the claim does not say."""
    expected = str(claim.expected)
    if expected.startswith(("at least", "more than", "over ")):
        return True
    if expected.startswith(("at most", "less than", "under ")) or claim.expected == 0:
        return False
    return None


def _notes(
    before: RunResults,
    after: RunResults,
    was: Mapping[str, ExperimentResult],
    now: Mapping[str, ExperimentResult],
) -> Iterator[str]:
    for name in was:
        if name not in now:
            yield f"{name} was run in {before.run_id} only"
        elif was[name].parameters != now[name].parameters:
            yield f"{name} ran with other parameters, so its figures were not compared"
        elif was[name].reason or now[name].reason:
            yield f"{name} did not come to its end in both runs, so its figures were not compared"
    yield from (f"{name} was run in {after.run_id} only" for name in now if name not in was)
    for what in ("server", "cores", "python", "processor"):
        one, other = before.environment.get(what), after.environment.get(what)
        if one != other:
            yield f"the {what} differs: {_plain(one)} and {_plain(other)}"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(part) for part in value.values())
    return "not known" if value is None else str(value)
