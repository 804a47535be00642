"""The three verdicts and how they combine."""

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    HOLDS = "HOLDS"
    VIOLATED = "VIOLATED"
    UNDECIDED = "UNDECIDED"


_WORST_FIRST = (Verdict.VIOLATED, Verdict.UNDECIDED, Verdict.HOLDS)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of the verdicts, VIOLATED first; UNDECIDED when there are none."""
    seen = set(verdicts)
    return next((verdict for verdict in _WORST_FIRST if verdict in seen), Verdict.UNDECIDED)


_OF_A_CONTROL = {Verdict.VIOLATED: Verdict.HOLDS, Verdict.HOLDS: Verdict.VIOLATED}


def as_counted(verdict: Verdict, *, control: bool) -> Verdict:
    """The verdict as it enters the experiment's: a convicted control holds, an acquitted one is a violation."""
    return _OF_A_CONTROL.get(verdict, Verdict.UNDECIDED) if control else verdict
