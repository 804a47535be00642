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
    """Each control of the experiment beside the claim that is most like it.

    The controls of `before_after` are the same service in memory, before the migration. Two claims are alike when they
    share a source and are of different sides; of several, the one with most sources, the same unit and most words of
    the id in common is taken.
    """
    befores = [claim for claim in experiment.claims if claim.control]
    sides = {side(claim) for claim in befores}
    afters = [
        claim for claim in experiment.claims if not claim.control and not claim.advisory and side(claim) not in sides
    ]
    return [Comparison(before, after) for before in befores if (after := _closest(before, afters)) is not None]


def side(claim: ClaimResult) -> str:
    """Which side of the migration a claim of this experiment is about: its id begins with it (`memory-3-csrf`)."""
    return _words(claim.id)[0]


def _closest(before: ClaimResult, afters: Sequence[ClaimResult]) -> ClaimResult | None:
    alike = [after for after in afters if _shared(before, after)[0]]
    return max(alike, key=lambda after: _shared(before, after), default=None)


def _shared(before: ClaimResult, after: ClaimResult) -> tuple[int, bool, int]:
    words = set(_words(before.id)) & set(_words(after.id))
    return len(set(before.source) & set(after.source)), before.unit == after.unit, len(words)


def _words(claim_id: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", claim_id.lower())
