"""The picture of `security`: every attack, and how often it was answered with what."""

from collections import defaultdict
from collections.abc import Sequence

from cryptosense.workbench.charts import Cell, matrix
from cryptosense.workbench.claims.claim import Judgement
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.experiments.security_claims import security_claims
from cryptosense.workbench.history import History, Operation
from cryptosense.workbench.verdicts import Verdict, worst

OUTCOMES = ("served 2xx", "401", "403", "404, 405", "413, 431", "400, 422", "429", "5xx", "no answer")
_JUDGED = ("attack", "limit.probe", "csrf.post", "portfolios.read", "tokens.read")


def security_charts(history: History, judgements: Sequence[Judgement]) -> Sequence[Chart]:
    """One matrix: a row an attack (or its victim), a column an outcome, in each how many answers there were.

    Of a convicted attack the cells that hold convicting answers are VIOLATED (all, where the evidence names none).
    """
    verdicts: dict[str, list[Judgement]] = defaultdict(list)
    by_name = {judgement.claim.id: judgement for judgement in judgements}
    for attack in security_claims():
        if attack.phase and attack.claim.id in by_name:
            verdicts[attack.phase].append(by_name[attack.claim.id])
    cells, samples = dict[tuple[str, str], Cell](), 0
    for phase, found in verdicts.items():
        answers = [item for kind in _JUDGED for item in history.operations(kind, phase=phase)]
        samples += len(answers)
        for outcome in OUTCOMES:
            given = [item for item in answers if outcome_of(item) == outcome]
            if given:
                cells[phase, outcome] = Cell(worst(_verdict(judged, given) for judged in found), str(len(given)))
    title = "What each attack was answered with"
    words = {Verdict.HOLDS: "as it should be", Verdict.VIOLATED: "the attack succeeded", Verdict.UNDECIDED: "not told"}
    return (matrix("attacks", title, list(verdicts), OUTCOMES, cells, samples=samples, words=words),)


def outcome_of(operation: Operation) -> str:
    """The column that an answer belongs to."""
    status = operation.status
    if status is None:
        return "no answer"
    named = {401: "401", 403: "403", 404: "404, 405", 405: "404, 405", 413: "413, 431", 431: "413, 431", 429: "429"}
    if status in named:
        return named[status]
    return "5xx" if status >= 500 else "400, 422" if status >= 400 else OUTCOMES[0]


def _verdict(judgement: Judgement, given: Sequence[Operation]) -> Verdict:
    finding = judgement.finding
    guilty = set(finding.evidence)
    if finding.verdict is Verdict.VIOLATED and guilty and not any(item.id in guilty for item in given):
        return Verdict.HOLDS
    return finding.verdict
