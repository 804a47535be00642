"""`summary.md`: the answer and the tables, as a CI job's summary shows them."""

from collections.abc import Sequence

from cryptosense.workbench.report.answer import Answer
from cryptosense.workbench.report.before_after import EXPERIMENT, comparisons
from cryptosense.workbench.report.plan import ImprovementAnswer, PlanAnswers, Standing, measured
from cryptosense.workbench.report.wording import (
    NOTHING,
    SIGNS,
    WORDS,
    counted,
    duration,
    figure,
    moment,
    observed,
    sentence,
)
from cryptosense.workbench.results import RunResults
from cryptosense.workbench.verdicts import Verdict

_MARKS = {Verdict.HOLDS: "✅", Verdict.VIOLATED: "❌", Verdict.UNDECIDED: "❔"}
_STANDING_MARKS = {
    Standing.HOLDS: "✅ holds",
    Standing.VIOLATED: "❌ violated",
    Standing.UNDECIDED: "❔ undecided",
    Standing.NOT_PROVED_HERE: "➖ not proved here",  # noqa: RUF001 (a mark, not a minus)
    Standing.NOT_RUN: "➖ not run",  # noqa: RUF001
}


def summary(results: RunResults, told: Answer, plan: PlanAnswers) -> str:
    """The whole document, worst first."""
    parts = [
        f"## {_MARKS[told.verdict]} {told.word}: the migration to Redis",
        told.why,
        f"Run `{results.run_id}`, {moment(results.started_at)}, profile {results.profile}."
        + (" **It was interrupted, so it is partial.**" if results.interrupted else ""),
        *_against(told),
        "### Experiments",
        _experiments(results),
        *_before_after(results),
        "### Expected improvements",
        _table(
            ["the plan expects", "promised", "measured", "verdict"],
            [
                [row.item.text, row.item.promised, _measured(row), _STANDING_MARKS[row.standing]]
                for row in plan.improvements
            ],
        ),
        "### The plan's checklist",
        _checklist(plan),
    ]
    return "\n\n".join(parts) + "\n"


def _against(told: Answer) -> list[str]:
    if not told.troubles:
        return []
    lines = [
        f"- {_MARKS[trouble.verdict]} **{trouble.experiment}**"
        + (f", {_text(trouble.claim.statement)}" if trouble.claim else "")
        + f" {NOTHING} {_text(sentence(trouble.reason))}"
        for trouble in told.troubles
    ]
    return ["### What stands against it", "\n".join(lines)]


def _experiments(results: RunResults) -> str:
    rows = []
    for experiment in results.experiments:
        promises = [claim for claim in experiment.claims if not claim.control and not claim.advisory]
        controls = [claim for claim in experiment.claims if claim.control and not claim.advisory]
        rows.append(
            [
                f"`{experiment.name}`",
                f"{_MARKS[experiment.verdict]} {WORDS[experiment.verdict]}",
                f"{sum(claim.counts_as is Verdict.HOLDS for claim in promises)} of {len(promises)}",
                f"{sum(claim.counts_as is Verdict.HOLDS for claim in controls)} of {len(controls)}",
                duration(experiment.seconds),
            ]
        )
    return _table(["experiment", "verdict", "claims hold", "controls caught", "took"], rows)


def _before_after(results: RunResults) -> list[str]:
    found = next((experiment for experiment in results.experiments if experiment.name == EXPERIMENT), None)
    pairs = comparisons(found) if found else []
    if not pairs:
        return []
    rows = [
        [
            pair.after.statement,
            figure(pair.before.observed, pair.before.unit),
            figure(pair.after.observed, pair.after.unit),
            f"{SIGNS[pair.after.verdict]} {WORDS[pair.after.verdict]}",
        ]
        for pair in pairs
    ]
    return ["### Before and after", _table(["promise", "in memory", "in Redis", "verdict now"], rows)]


def _measured(row: ImprovementAnswer) -> str:
    figures = [observed(one.claim) for one in measured(row)]
    more = [f"{len(figures) - 2} more"] if len(figures) > 2 else []
    return "; ".join(figures[:2] + more) or NOTHING


def _checklist(plan: PlanAnswers) -> str:
    held = sum(row.standing is Standing.HOLDS for row in plan.checklist)
    rows = [
        [row.item.group, row.item.text, _STANDING_MARKS[row.standing], counted(len(row.evidence), "claim")]
        for row in plan.checklist
    ]
    table = _table(["part", "item", "verdict", "evidence"], rows)
    return f"<details><summary>{held} of {len(plan.checklist)} items hold</summary>\n\n{table}\n\n</details>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_text(cell) for cell in line)} |" for line in lines)


def _text(cell: str) -> str:
    """One line that Markdown does not take for markup; what stands in backquotes is left alone."""
    if cell.startswith("`"):
        return cell
    for mark in ("\\", "|", "*", "_", "<", ">"):
        cell = cell.replace(mark, f"\\{mark}")
    return " ".join(cell.split())
