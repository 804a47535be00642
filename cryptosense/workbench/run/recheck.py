"""Judging a saved run again, without running anything: the checkers of today on the history of then."""

from dataclasses import dataclass
from pathlib import Path

from cryptosense.errors import UsageError
from cryptosense.workbench.experiments import find_experiment
from cryptosense.workbench.results import RESULTS, ExperimentResult, RunResults, verdict_of_run
from cryptosense.workbench.run.gathering import result_of
from cryptosense.workbench.run.judging import HISTORY, STOPPED_EARLY, judge_saved
from cryptosense.workbench.run.parameters import choose
from cryptosense.workbench.run.saved import read_plan
from cryptosense.workbench.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Change:
    """A claim that came out otherwise than it was saved; `before` is None for a claim that is new."""

    experiment: str
    claim: str
    before: Verdict | None
    after: Verdict


def recheck(run: Path) -> tuple[RunResults, list[Change]]:
    """Judges every history of the run again, rewrites verdicts, charts and `results.json`, and names the changes.

    An experiment that left no history stays as it was.

    Raises:
        UsageError: the folder is no run, or an experiment's plan is missing or no longer fits.
        WorkbenchError: `results.json` is torn.
    """
    if not (run / RESULTS).exists():
        raise UsageError(f"{run} holds no {RESULTS}; name a run's folder")
    before = RunResults.read(run / RESULTS)
    experiments = tuple(_judge_again(run, saved) for saved in before.experiments)
    results = before.model_copy(update={"experiments": experiments, "verdict": verdict_of_run(experiments)})
    results.write(run / RESULTS)
    changes = [
        change
        for saved, again in zip(before.experiments, experiments, strict=True)
        for change in _changes(saved, again)
    ]
    return results, changes


def _judge_again(run: Path, saved: ExperimentResult) -> ExperimentResult:
    folder = run / saved.name
    if not (folder / HISTORY).exists():
        return saved
    experiment = find_experiment(saved.name)
    given = read_plan(folder).get("parameters")
    parameters = choose(experiment, given if isinstance(given, dict) else {})
    judged = judge_saved(
        experiment, parameters, folder, seconds=saved.seconds, if_cut_short=saved.reason or STOPPED_EARLY
    )
    return result_of(judged)


def _changes(saved: ExperimentResult, again: ExperimentResult) -> list[Change]:
    before = {claim.id: claim.verdict for claim in saved.claims}
    return [
        Change(saved.name, claim.id, before.get(claim.id), claim.verdict)
        for claim in again.claims
        if before.get(claim.id) is not claim.verdict
    ]
