"""Before and after side by side: each flawed or unmigrated figure of `before_after` beside the migrated one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptosense.workbench.results import ClaimResult, ExperimentResult

EXPERIMENT = "before_after"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One promise: what the service in memory did, and what it does now."""

    before: ClaimResult
    after: ClaimResult


def comparisons(experiment: ExperimentResult) -> list[Comparison]:
    """Each claim of the experiment beside the control that is most like it.

    The controls of `before_after` are the same service in memory, before the migration. Two claims are alike when they
    share a source; of several, the one with most sources and words of the id in common is taken.
    """
    befores = [claim for claim in experiment.claims if claim.control]
    afters = [claim for claim in experiment.claims if not claim.control and not claim.advisory]
    pairs = [Comparison(before, after) for after in afters if (before := _closest(after, befores)) is not None]
    return sorted(pairs, key=lambda pair: experiment.claims.index(pair.after))


def _closest(after: ClaimResult, befores: Sequence[ClaimResult]) -> ClaimResult | None:
    alike = [before for before in befores if _shared(before, after)[0]]
    return max(alike, key=lambda before: _shared(before, after), default=None)


def _shared(before: ClaimResult, after: ClaimResult) -> tuple[int, bool, int]:
    words = set(_words(before.id)) & set(_words(after.id))
    return len(set(before.source) & set(after.source)), before.unit == after.unit, len(words)


def _words(claim_id: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", claim_id.lower())
