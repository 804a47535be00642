"""Every control under the claims that are to convict it: do our claims see what they say they see?

A control is judged by the experiment that charges its promise (`Charge`), under the claims that are meant to convict
it. It is caught when one of those comes out VIOLATED and none acquits it; one that a busy machine leaves UNDECIDED is
not blind. Whatever else is violated is shown and does not count, since a service may fail a claim for another reason
than its flaw; a control that is not caught is a hole in the claims.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptosense.errors import UsageError
from cryptosense.workbench.experiment import Charge
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
    """One control under one experiment: what is meant to convict it there, and the parameters that make it short."""

    suspect: Suspect
    experiment: str
    charge: Charge


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a trial.

    `meant` are the claims of the charge, `besides` all others that came out VIOLATED; `trouble` says why a trial did
    not end.
    """

    trial: Trial
    meant: tuple[ClaimResult, ...]
    seconds: float
    besides: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def caught(self) -> bool:
        verdicts = {claim.verdict for claim in self.meant}
        return Verdict.VIOLATED in verdicts and Verdict.HOLDS not in verdicts

    @property
    def sentence(self) -> str:
        """The first claim that acquits it, else the first that convicts it, and why."""
        if self.trouble:
            return self.trouble
        order = (Verdict.HOLDS, Verdict.VIOLATED, Verdict.UNDECIDED)
        first = min(self.meant, key=lambda claim: order.index(claim.verdict))
        beside = f"; violated for another reason: {', '.join(self.besides)}" if self.besides and not self.caught else ""
        return f"{first.id}: {first.reason}{beside}"

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
            "claims": {claim.id: claim.verdict.value for claim in self.meant},
            "besides": list(self.besides),
        }


def arrange(suspects: Sequence[Suspect], wanted: Sequence[str] = ()) -> list[Trial]:
    """A trial for each control (or for those that are wanted), in the first experiment that charges its promise.

    Raises:
        UsageError: a wanted control does not exist, or no experiment charges its promise.
    """
    known = {suspect.name: suspect for suspect in suspects}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UsageError(f"there is no control {unknown[0]!r}; there are {', '.join(known)}")
    return [_trial(known[name]) for name in wanted or known]


def _trial(suspect: Suspect) -> Trial:
    for experiment in catalog().values():
        charge = charges_of(experiment).get(suspect.contract)
        if charge is not None:
            return Trial(suspect, experiment.name, charge)
    raise UsageError(f"no experiment charges {suspect.contract}, so {suspect.name} cannot be tried")


def charges_of(experiment: AnyExperiment) -> Mapping[str, Charge]:
    """The experiment's charges by the promise that is broken; none where it tries no controls."""
    charges: Mapping[str, Charge] = getattr(experiment, "charges", {})
    return charges


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
    parameters = experiment.parameters(**{**trial.charge.parameters, SERVICE: trial.suspect.name})
    started = time.monotonic()
    try:
        with ProgressLog(folder / PROGRESS) as progress:
            verdicts = await conduct_experiment(experiment, parameters, folder, Surroundings(folder=folder), progress)
    except Exception as error:  # noqa: BLE001 — one trial's failure is that trial's outcome
        trouble = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return Outcome(trial, (), time.monotonic() - started, trouble=trouble)
    return _outcome(trial, verdicts, time.monotonic() - started)


def _outcome(trial: Trial, verdicts: ExperimentVerdicts, seconds: float) -> Outcome:
    judged = {claim.id: claim for claim in verdicts.claims}
    absent = [name for name in trial.charge.claims if name not in judged]
    if absent:
        return Outcome(trial, (), seconds, trouble=f"{trial.experiment} has no claim {', '.join(absent)}")
    besides = tuple(
        claim.id
        for claim in verdicts.claims
        if claim.verdict is Verdict.VIOLATED and not claim.control and claim.id not in trial.charge.claims
    )
    return Outcome(trial, tuple(judged[name] for name in trial.charge.claims), seconds, besides)
