"""The picture of `integration`: every promise of the contract on every instance."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from cryptosense.workbench.charts import Cell, matrix
from cryptosense.workbench.claims.claim import Judgement
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.experiments.integration_claims import integration_claims
from cryptosense.workbench.history import History, Operation
from cryptosense.workbench.verdicts import Verdict, worst

RESTARTED = "restarted"


def integration_charts(history: History, judgements: Sequence[Judgement]) -> Sequence[Chart]:
    """One matrix: a row a claim, a column an instance (and the restarted one), in each how many answers it gave.

    A convicted claim is VIOLATED at the instances that gave the convicting answers, or at all that answered where the
    evidence names none.
    """
    found = {judgement.claim.id: judgement for judgement in judgements}
    named = {reading.labels["url"]: f"instance {reading.value:.0f}" for reading in history.observations("instance")}
    rows, cells = [], dict[tuple[str, str], Cell]()
    for promise in integration_claims():
        judgement = found.get(promise.claim.id)
        if judgement is None or not promise.phases:
            continue
        row = f"{promise.claim.source[0].removeprefix('checklist:')} {promise.claim.id}"
        rows.append(row)
        answers = [item for phase in promise.phases for item in history.operations(phase=phase) if item.status]
        for column, (verdict, count) in _row(judgement, answers, named).items():
            cells[row, column] = Cell(verdict, str(count))
    columns = [*dict.fromkeys(named.values()), RESTARTED]
    samples = len(history.operations())
    return (matrix("promises", "Every promise on every instance", rows, columns, cells, samples=samples),)


def _row(
    judgement: Judgement, answers: Sequence[Operation], named: Mapping[str, str]
) -> dict[str, tuple[Verdict, int]]:
    """Verdict and number of answers by column."""
    asked: dict[str, list[Operation]] = defaultdict(list)
    for answer in answers:
        asked[RESTARTED if answer.phase == RESTARTED else named.get(answer.instance, answer.instance)].append(answer)
    finding, guilty = judgement.finding, set(judgement.finding.evidence)
    cells = {}
    for column, given in asked.items():
        innocent = finding.verdict is Verdict.VIOLATED and guilty and not any(item.id in guilty for item in given)
        cells[column] = (Verdict.HOLDS if innocent else worst([finding.verdict]), len(given))
    return cells
