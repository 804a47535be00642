"""Go or no-go, in one sentence, from the results."""

import re
from dataclasses import dataclass

from cryptosense.workbench.report.plan import PlanAnswers, Standing
from cryptosense.workbench.report.wording import counted, figure
from cryptosense.workbench.results import ClaimResult, ExperimentResult, RunResults
from cryptosense.workbench.verdicts import Verdict

_GLANCE = 120
"""Characters of a reason that the answer's one sentence can carry."""

WORDS = {Verdict.HOLDS: "Go", Verdict.VIOLATED: "No-go", Verdict.UNDECIDED: "Not yet"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that stands against the run: a claim, or (`claim` is None) an experiment that did not end."""

    experiment: str
    verdict: Verdict
    claim: ClaimResult | None
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`word` is Go (or, when parts of the plan were not run, Go as far as tested), No-go or Not yet.

    `why` is one sentence.
    """

    verdict: Verdict
    word: str
    why: str
    troubles: tuple[Trouble, ...]


def answer(results: RunResults, plan: PlanAnswers) -> Answer:
    """The run's verdict in words, and everything that stands against it, violated first."""
    troubles = tuple(
        sorted(
            (trouble for experiment in results.experiments for trouble in _troubles(experiment)),
            key=lambda trouble: (trouble.verdict is not Verdict.VIOLATED, trouble.claim is not None),
        )
    )
    why = {Verdict.HOLDS: _go, Verdict.VIOLATED: _no_go, Verdict.UNDECIDED: _not_yet}[results.verdict]
    word = WORDS[results.verdict]
    if results.verdict is Verdict.HOLDS and _open_items(plan):
        word = f"{word}, as far as tested"
    return Answer(results.verdict, word, why(results, plan, troubles), troubles)


def counting(results: RunResults) -> list[ClaimResult]:
    """Every claim that enters the verdict."""
    return [claim for experiment in results.experiments for claim in experiment.claims if not claim.advisory]


def cut_short(experiment: ExperimentResult) -> bool:
    """Whether the experiment's own reason stands against it; what only cost it a picture does not."""
    return bool(experiment.reason) and experiment.verdict is not Verdict.HOLDS


def _troubles(experiment: ExperimentResult) -> list[Trouble]:
    found = [
        Trouble(experiment.name, claim.counts_as, claim, claim.reason)
        for claim in experiment.claims
        if not claim.advisory and claim.counts_as is not Verdict.HOLDS
    ]
    if cut_short(experiment):
        # One line instead of every claim saying the same.
        others = [trouble for trouble in found if not trouble.reason.startswith(experiment.reason)]
        return [Trouble(experiment.name, Verdict.UNDECIDED, None, experiment.reason), *others]
    if not found and experiment.verdict is not Verdict.HOLDS:
        return [Trouble(experiment.name, experiment.verdict, None, "no claim of this experiment was judged")]
    return found


def _go(results: RunResults, plan: PlanAnswers, _: tuple[Trouble, ...]) -> str:
    claims = counting(results)
    promises = [claim for claim in claims if not claim.control]
    controls = len(claims) - len(promises)
    caught = f", and {_all(controls)} deliberately flawed {_plural(controls, 'control was', 'controls were')} caught"
    told = (
        f"{_all(len(promises))} {_plural(len(promises), 'claim', 'claims')} of "
        f"{counted(len(results.experiments), 'experiment')} {_plural(len(promises), 'holds', 'hold')}"
        f"{caught if controls else ', though no control was run to show that they can fail'}"
    )
    missing = _open_items(plan)
    if missing:
        told += (
            f"; this selection of experiments leaves {missing} of the plan's {len(plan.checklist)} checklist items open"
        )
    return f"{told[0].upper()}{told[1:]}."


def _open_items(plan: PlanAnswers) -> int:
    return sum(row.standing is Standing.NOT_RUN for row in plan.checklist)


def _no_go(results: RunResults, _: PlanAnswers, troubles: tuple[Trouble, ...]) -> str:
    violated = [trouble for trouble in troubles if trouble.verdict is Verdict.VIOLATED]
    first = violated[0]
    if first.claim is None:
        return f"The experiment {first.experiment} is violated: {first.reason}."
    total = len(counting(results))
    if first.claim.control:
        return (
            f"{len(violated)} of {counted(total, 'claim')} came out wrong; foremost, the deliberately flawed control "
            f"“{_quoted(first.claim)}” was not caught, so what rests on it cannot be believed."
        )
    return (
        f"{len(violated)} of {counted(total, 'claim')} {_plural(len(violated), 'is', 'are')} violated; foremost, "
        f"“{_quoted(first.claim)}” in {first.experiment}: expected {figure(first.claim.expected)}, "
        f"observed {figure(first.claim.observed, first.claim.unit)}."
    )


def _not_yet(results: RunResults, _: PlanAnswers, troubles: tuple[Trouble, ...]) -> str:
    if results.interrupted:
        ended = sum(not cut_short(experiment) for experiment in results.experiments)
        return (
            f"The run was interrupted: {ended} of {counted(len(results.experiments), 'experiment')} came to an end, "
            "nothing was found violated, and the rest is undecided."
        )
    if not troubles:
        return "Nothing was run, so nothing is decided."
    first = troubles[0]
    undecided = sum(claim.counts_as is Verdict.UNDECIDED for claim in counting(results))
    about = f"the experiment {first.experiment}" if first.claim is None else f"“{_quoted(first.claim)}”"
    return (
        f"Nothing was found violated, but {undecided} of {counted(len(counting(results)), 'claim')} "
        f"{_plural(undecided, 'is', 'are')} undecided; foremost {about}: {_briefly(first.reason)}."
    )


def _quoted(claim: ClaimResult) -> str:
    text = claim.statement.rstrip(".")
    return f"{text[:1].upper()}{text[1:]}"


def _briefly(reason: str) -> str:
    """The reason's first clauses, as many as fit a sentence that is read at a glance; all of it stands further down."""
    clauses = re.split(r"(?<=[;:]) ", reason.rstrip("."))
    told = clauses[0]
    for clause in clauses[1:]:
        if len(told) + len(clause) > _GLANCE:
            break
        told = f"{told} {clause}"
    return told.rstrip(";:")


def _all(count: int) -> str:
    return {1: "the one", 2: "both"}.get(count, f"all {count:,}")


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
