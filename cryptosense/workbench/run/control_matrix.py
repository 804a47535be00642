"""Every control under the claims that are to convict it: do our claims see what they say they see?

A control is judged by an experiment that has a `service` parameter, under the claims that name its promise as their
source. It is caught when one of those comes out VIOLATED; anything else is a hole in the claims and fails the matrix.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptosense.errors import UsageError
from cryptosense.workbench.experiments import AnyExperiment, catalog, find_experiment
from cryptosense.workbench.progress import PROGRESS, ProgressLog
from cryptosense.workbench.results import ClaimResult, ExperimentVerdicts, write_json
from cryptosense.workbench.run.conduct import conduct_experiment
from cryptosense.workbench.run.surroundings import Surroundings
from cryptosense.workbench.verdicts import Verdict

MATRIX = "controls.json"
MATRIX_SCHEMA = "cryptosense.controls/1"
SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A control as the matrix needs it: its name, the promise it breaks, and how."""

    name: str
    contract: str
    flaw: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One control under one experiment with the parameters that make it short."""

    suspect: Suspect
    experiment: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a trial. `claims` are those that name the promise; `trouble` says why a trial did not end."""

    trial: Trial
    claims: tuple[ClaimResult, ...]
    seconds: float
    trouble: str = ""

    @property
    def caught(self) -> bool:
        return any(claim.verdict is Verdict.VIOLATED for claim in self.claims)

    @property
    def sentence(self) -> str:
        """Which claim convicted it and why, or what was seen instead."""
        if self.trouble:
            return self.trouble
        if not self.claims:
            return f"no claim of {self.trial.experiment} names {self.trial.suspect.contract}"
        first = next((claim for claim in self.claims if claim.verdict is Verdict.VIOLATED), self.claims[0])
        return f"{first.id}: {first.reason}"

    def as_json(self) -> dict[str, Any]:
        suspect = self.trial.suspect
        return {
            "control": suspect.name,
            "contract": suspect.contract,
            "flaw": suspect.flaw,
            "experiment": self.trial.experiment,
            "caught": self.caught,
            "seconds": round(self.seconds, 1),
            "sentence": self.sentence,
            "claims": {claim.id: claim.verdict.value for claim in self.claims},
        }


def arrange(suspects: Sequence[Suspect], wanted: Sequence[str] = ()) -> list[Trial]:
    """A trial for each control (or for those that are wanted), in the experiment whose claims name its promise.

    Raises:
        UsageError: a wanted control does not exist.
    """
    known = {suspect.name: suspect for suspect in suspects}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UsageError(f"there is no control {unknown[0]!r}; there are {', '.join(known)}")
    return [_trial(known[name]) for name in wanted or known]


def _trial(suspect: Suspect) -> Trial:
    for experiment in catalog().values():
        if SERVICE not in experiment.parameters.model_fields:
            continue
        for parameters in _variants(experiment, suspect.contract):
            if _claims_naming(experiment, parameters, suspect.contract):
                return Trial(suspect, experiment.name, parameters)
    raise UsageError(f"no experiment has a claim that names {suspect.contract}, so {suspect.name} cannot be tried")


def _variants(experiment: AnyExperiment, contract: str) -> list[Mapping[str, Any]]:
    """What the experiment itself says makes a trial of that promise short, else its defaults."""
    trials: Mapping[str, Mapping[str, Any]] = getattr(experiment, "trials", {})
    return [trials[contract]] if contract in trials else [{}]


def _claims_naming(experiment: AnyExperiment, parameters: Mapping[str, Any], contract: str) -> list[str]:
    claims = experiment.claims(experiment.parameters(**parameters))
    return [claim.id for claim in claims if contract in claim.source and not claim.control]


async def try_controls(
    trials: Sequence[Trial], folder: Path, *, jobs: int, report: Callable[[Outcome], None]
) -> list[Outcome]:
    """Conducts every trial, `jobs` at a time, each in a folder of its own below `folder`; in the trials' order."""
    places = asyncio.Semaphore(jobs)

    async def one(trial: Trial) -> Outcome:
        async with places:
            outcome = await _conduct(trial, folder / trial.suspect.name)
        report(outcome)
        return outcome

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(trial)) for trial in trials]
    outcomes = [task.result() for task in tasks]
    write_json(folder / MATRIX, {"schema": MATRIX_SCHEMA, "controls": [outcome.as_json() for outcome in outcomes]})
    return outcomes


async def _conduct(trial: Trial, folder: Path) -> Outcome:
    folder.mkdir(parents=True)  # noqa: ASYNC240 (once, before anything runs)
    experiment = find_experiment(trial.experiment)
    parameters = experiment.parameters(**{**trial.parameters, SERVICE: trial.suspect.name})
    started = time.monotonic()
    try:
        with ProgressLog(folder / PROGRESS) as progress:
            verdicts = await conduct_experiment(experiment, parameters, folder, Surroundings(folder=folder), progress)
    except Exception as error:  # noqa: BLE001 — one trial's failure is that trial's outcome
        trouble = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return Outcome(trial, (), time.monotonic() - started, trouble)
    return Outcome(trial, _naming(verdicts, trial.suspect.contract), time.monotonic() - started)


def _naming(verdicts: ExperimentVerdicts, contract: str) -> tuple[ClaimResult, ...]:
    return tuple(claim for claim in verdicts.claims if contract in claim.source and not claim.control)
