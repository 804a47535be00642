"""The plan's two lists answered by the claims of a run; an item that none of them covers says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptosense.workbench.plan_lists import CHECKLIST, IMPROVEMENTS, ChecklistItem, Improvement
from cryptosense.workbench.report.before_after import EXPERIMENT, side
from cryptosense.workbench.results import ClaimResult, RunResults
from cryptosense.workbench.verdicts import Verdict, worst

SEVERITY = {Verdict.VIOLATED: 0, Verdict.UNDECIDED: 1, Verdict.HOLDS: 2}
"""The order in which claims are told: what stands against the run first."""


class Standing(StrEnum):
    """How an item of the plan stands after a run."""

    HOLDS = "holds"
    VIOLATED = "violated"
    UNDECIDED = "undecided"
    NOT_PROVED_HERE = "not proved here"
    NOT_RUN = "not run in this selection"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A claim and the experiment that judged it."""

    experiment: str
    claim: ClaimResult


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    """A checklist item with the claims that answer it, worst first."""

    item: ChecklistItem
    standing: Standing
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class ImprovementAnswer:
    """An expected improvement with the claims that measured it, worst first."""

    item: Improvement
    standing: Standing
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class PlanAnswers:
    checklist: tuple[ItemAnswer, ...]
    improvements: tuple[ImprovementAnswer, ...]


def answer_plan(results: RunResults) -> PlanAnswers:
    """Every item of both lists, in the plan's order, none left out."""
    by_source = _by_source(results)
    return PlanAnswers(
        tuple(ItemAnswer(item, standing(found), found) for item in CHECKLIST for found in [by_source.get(item.id, ())]),
        tuple(
            ImprovementAnswer(item, standing(found), found)
            for item in IMPROVEMENTS
            for found in [by_source.get(item.id, ())]
        ),
    )


def standing(evidence: Sequence[Evidence]) -> Standing:
    """The worst of the claims; a control that was not caught counts against what it was to calibrate.

    Controls alone prove nothing about the service, so without a claim of its own an item has not been run.
    """
    promises = [one.claim for one in evidence if not one.claim.control]
    if not promises:
        return Standing.NOT_RUN
    if all(claim.advisory for claim in promises):
        return Standing.NOT_PROVED_HERE
    counts = worst(one.claim.counts_as for one in evidence if not one.claim.advisory)
    return {
        Verdict.HOLDS: Standing.HOLDS,
        Verdict.VIOLATED: Standing.VIOLATED,
        Verdict.UNDECIDED: Standing.UNDECIDED,
    }[counts]


def measured(answer: ImprovementAnswer) -> list[Evidence]:
    """The claims that give an improvement's figures, the worst and then the most telling first.

    Most telling is a claim that names this improvement before anything else; last come those about the service in
    memory, which tell what was before.
    """
    return sorted(
        (one for one in answer.evidence if not one.claim.control and not one.claim.advisory),
        key=lambda one: (
            SEVERITY[one.claim.counts_as],
            one.experiment == EXPERIMENT and side(one.claim) == "memory",
            one.claim.source.index(answer.item.id),
        ),
    )


def _by_source(results: RunResults) -> Mapping[str, tuple[Evidence, ...]]:
    found: dict[str, list[Evidence]] = {}
    for experiment in results.experiments:
        for claim in experiment.claims:
            for source in claim.source:
                found.setdefault(source, []).append(Evidence(experiment.name, claim))
    return {
        source: tuple(sorted(evidence, key=lambda one: (one.claim.control, SEVERITY[one.claim.counts_as])))
        for source, evidence in found.items()
    }
