"""From a saved history to verdicts and charts; the same for a run just ended and for one opened again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cryptosense.errors import WorkbenchError
from cryptosense.workbench.claims.claim import Claim, Judgement, judge, undecided
from cryptosense.workbench.experiment import Chart, Parameters
from cryptosense.workbench.experiments import AnyExperiment
from cryptosense.workbench.history import History, load_history
from cryptosense.workbench.results import VERDICTS, ChartResult, ClaimResult, ExperimentVerdicts, verdict_of_claims
from cryptosense.workbench.run.parameters import plain
from cryptosense.workbench.verdicts import Verdict

HISTORY = "history.jsonl.gz"
FIGURES = "figures"

STOPPED_EARLY = "its history ends before the experiment did"


def judge_saved(
    experiment: AnyExperiment,
    parameters: Parameters,
    folder: Path,
    *,
    seconds: float,
    reason: str = "",
    if_cut_short: str = STOPPED_EARLY,
) -> ExperimentVerdicts:
    """Judges the history in `folder`, draws its charts, and writes `verdicts.json` last.

    Of an experiment that did not come to its end every claim is UNDECIDED; what its checker saw so far stands in the
    claim's reason. `reason` says that it did not and why; without it a history that lacks its closing line does, and
    `if_cut_short` is then the reason.
    """
    try:
        history = load_history(folder / HISTORY)
    except WorkbenchError as error:
        verdicts = undecided_verdicts(experiment, parameters, seconds=seconds, reason=reason or str(error))
        verdicts.write(folder / VERDICTS)
        return verdicts
    reason = reason or ("" if history.complete else if_cut_short)
    judgements = [judge(claim, history) for claim in experiment.claims(parameters)]
    if reason:
        judgements = [_not_proved(judgement, reason) for judgement in judgements]
    charts, failure = _draw(experiment, parameters, history, judgements, folder)
    claims = tuple(ClaimResult.of(judgement) for judgement in judgements)
    verdicts = ExperimentVerdicts(
        experiment=experiment.name,
        verdict=Verdict.UNDECIDED if reason else verdict_of_claims(claims),
        parameters=plain(parameters),
        seconds=round(seconds, 2),
        reason=reason or failure,
        claims=claims,
        charts=charts,
    )
    verdicts.write(folder / VERDICTS)
    return verdicts


def undecided_verdicts(
    experiment: AnyExperiment, parameters: Parameters, *, seconds: float, reason: str
) -> ExperimentVerdicts:
    """Every claim of the experiment, none left out, as UNDECIDED for that reason."""
    nothing = History(started_at=0.0, events=(), complete=False)
    claims = [_without_history(claim, nothing, reason) for claim in experiment.claims(parameters)]
    return ExperimentVerdicts(
        experiment=experiment.name,
        verdict=Verdict.UNDECIDED,
        parameters=plain(parameters),
        seconds=round(seconds, 2),
        reason=reason,
        claims=tuple(ClaimResult.of(judgement) for judgement in claims),
        charts=(),
    )


def _without_history(claim: Claim, nothing: History, reason: str) -> Judgement:
    """The checker is asked about an empty history only for what it expects, and in which unit."""
    asked = judge(claim, nothing).finding
    return Judgement(claim, undecided(reason, expected=asked.expected, unit=asked.unit))


def _not_proved(judgement: Judgement, reason: str) -> Judgement:
    finding = judgement.finding
    so_far = f"; so far: {finding.verdict}, {finding.reason}" if finding.samples else ""
    text = f"{reason}{so_far}"
    return Judgement(judgement.claim, replace(finding, verdict=Verdict.UNDECIDED, reason=text))


def _draw(
    experiment: AnyExperiment,
    parameters: Parameters,
    history: History,
    judgements: Sequence[Judgement],
    folder: Path,
) -> tuple[tuple[ChartResult, ...], str]:
    """The charts as SVG files, and a sentence if one could not be drawn: a picture must not cost the verdicts."""
    figures = folder / FIGURES
    figures.mkdir(exist_ok=True)
    try:
        charts = experiment.charts(parameters, history, judgements)
        return tuple(_save(chart, figures) for chart in charts), ""
    except Exception as error:  # noqa: BLE001 — whatever a drawing stumbles over, the verdicts are worth more
        if not history.complete:
            return (), ""  # half a history need not suffice for a picture
        return (), f"the charts could not be drawn: {type(error).__name__}: {error}"


def _save(chart: Chart, figures: Path) -> ChartResult:
    path = figures / f"{chart.name}.svg"
    chart.figure.savefig(path, format="svg", metadata={"Date": None, "Title": chart.title})
    return ChartResult(name=chart.name, title=chart.title, alt=chart.alt, file=f"{FIGURES}/{path.name}")
