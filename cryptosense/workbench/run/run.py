"""A whole run: every experiment's notebook executed, watched and gathered, and the report written.

The command's own process executes nothing that can hang or die: each notebook runs in a child, whose ending, whatever
it was, becomes a verdict. `results.json` is there from the first moment and says of everything unfinished that it is.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from cryptosense.errors import UsageError
from cryptosense.workbench.experiment import Profile
from cryptosense.workbench.experiments import catalog, find_experiment
from cryptosense.workbench.results import RESULTS, ExperimentResult, RunResults, verdict_of_run
from cryptosense.workbench.run.execution import Chosen, Execution
from cryptosense.workbench.run.gathering import (
    accounts_made,
    describe_server,
    describe_target,
    gather_experiment,
    iso,
    result_of,
)
from cryptosense.workbench.run.judging import undecided_verdicts
from cryptosense.workbench.run.library import new_run, notebook_of
from cryptosense.workbench.run.parameters import choose, read_assignments
from cryptosense.workbench.run.stopping import StopRequest
from cryptosense.workbench.run.surroundings import Surroundings, describe_environment
from cryptosense.workbench.targets.ceilings import Ceilings

SIDE_BY_SIDE = 2
LONGEST_S: Mapping[Profile, float] = {"quick": 600.0, "full": 3600.0}
"""An experiment that takes longer than this hangs, and is stopped."""

PATIENCE_S = 30.0
"""How long an experiment may take to heal and end once it was asked to."""

_LOOK_EVERY_S = 0.1
_NOT_YET = "the run has not come to this experiment"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What is to run. Made by `prepare`, which has refused everything that cannot."""

    chosen: tuple[Chosen, ...]
    surroundings: Surroundings


class Watcher(Protocol):
    """Whoever shows the run to the user."""

    def begun(self, run: Path, names: Sequence[str]) -> None: ...

    def started(self, execution: Execution) -> None: ...

    def progressed(self, execution: Execution) -> None:
        """Called after each change that the experiment told, none left out, in their order and before `finished`."""
        ...

    def changed(self, executions: Sequence[Execution]) -> None:
        """Called several times a second."""
        ...

    def finished(self, result: ExperimentResult) -> None: ...

    def say(self, sentence: str) -> None: ...


def prepare(
    names: Sequence[str],
    *,
    profile: Profile = "quick",
    assignments: Sequence[str] = (),
    surroundings: Surroundings | None = None,
) -> RunRequest:
    """The experiments (all of them when none is named) with their parameters.

    Raises:
        UsageError: an experiment, a parameter or a value does not fit, or a notebook is missing.
    """
    experiments = [find_experiment(name) for name in dict.fromkeys(names)] or list(catalog().values())
    if not experiments:
        raise UsageError("there are no experiments in this installation; install cryptosense again")
    values = read_assignments(assignments, experiments)
    chosen = []
    for experiment in experiments:
        notebook_of(experiment)
        given = values[experiment.name]
        changed = dict.fromkeys([*(experiment.full if profile == "full" else ()), *given])
        chosen.append(Chosen(experiment, choose(experiment, given, profile), tuple(changed)))
    return RunRequest(tuple(chosen), replace(surroundings or Surroundings(), profile=profile))


def validate(request: RunRequest, watcher: Watcher, stop: StopRequest) -> tuple[Path, RunResults]:
    """Runs everything, writes `results.json` and the report, and returns the run's folder and results.

    Raises:
        CouldNotStart: there is no server, or the given one does not answer; nothing was started.
        UsageError: the reports' folder cannot be written.
    """
    server = describe_server(request.surroundings)
    folder = new_run(request.surroundings.reports)
    run = _Run(request, folder, describe_environment(server), watcher, stop)
    with tempfile.TemporaryDirectory(prefix="cs-", dir=_short_folder(), ignore_cleanup_errors=True) as runtime:
        run.go(Path(runtime))
    return folder, run.save(finished=True)


def _short_folder() -> str | None:
    """Where sockets get short paths: macOS's own temporary folder leaves too little of the 104 bytes."""
    return "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 (a fresh private folder is made in it)


@dataclass(slots=True)
class _Run:
    request: RunRequest
    folder: Path
    environment: dict[str, Any]
    watcher: Watcher
    stop: StopRequest
    started_at: float = field(default_factory=time.time)
    results: dict[str, ExperimentResult] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)

    def go(self, runtime: Path) -> None:
        """Starts what may start, watches what runs, gathers what ended, until nothing is left."""
        waiting = list(self.request.chosen)
        self.save(finished=False)
        self.watcher.begun(self.folder, [chosen.name for chosen in waiting])
        try:
            while waiting or self.executions:
                if self.stop.requested:
                    waiting.clear()
                while startable := next(filter(self._may_start, waiting), None):
                    waiting.remove(startable)
                    self._start(startable, runtime)
                self._look_after()
                self.watcher.changed(self.executions)
                time.sleep(_LOOK_EVERY_S)
        finally:
            for execution in self.executions:
                execution.end()

    def save(self, *, finished: bool) -> RunResults:
        """Writes `results.json` as things stand; what has not run is UNDECIDED and says why."""
        interrupted = self.stop.requested
        experiments = tuple(
            self.results.get(chosen.name) or self._unfinished(chosen, finished=finished)
            for chosen in self.request.chosen
        )
        results = RunResults(
            run_id=self.folder.name,
            started_at=iso(self.started_at),
            finished_at=iso(time.time()) if finished else None,
            profile=self.request.surroundings.profile,
            verdict=verdict_of_run(experiments),
            interrupted=interrupted,
            target=describe_target(self.request.surroundings, self.folder),
            environment=self.environment,
            experiments=experiments,
        )
        results.write(self.folder / RESULTS)
        return results

    def _unfinished(self, chosen: Chosen, *, finished: bool) -> ExperimentResult:
        reason = "interrupted before it began" if finished else _NOT_YET
        return result_of(undecided_verdicts(chosen.experiment, chosen.parameters, seconds=0.0, reason=reason))

    def _may_start(self, candidate: Chosen) -> bool:
        """Alone, beside others that are as unharmed by company, or while the last one is only being judged.

        Somebody else's deployment sees one experiment at a time, since each keeps to the ceilings by itself.
        """
        if len(self.executions) >= SIDE_BY_SIDE or (self.executions and self.request.surroundings.target):
            return False
        measuring = [execution.chosen for execution in self.executions if execution.progress.status.measuring]
        return not measuring or all(one.parallel_safe for one in [candidate, *measuring])

    def _start(self, chosen: Chosen, runtime: Path) -> None:
        own_runtime = runtime / str(len(self.results) + len(self.executions))
        own_runtime.mkdir(mode=0o700)
        folder = self.folder / chosen.name
        surroundings = replace(self.request.surroundings, folder=folder, ceilings=self._ceilings_left())
        execution = Execution(chosen, folder, surroundings, own_runtime)
        self.executions.append(execution)
        self.watcher.started(execution)

    def _ceilings_left(self) -> Ceilings:
        """What the experiments so far have left of the time and the accounts that the user granted to the run."""
        granted = self.request.surroundings.ceilings
        if self.request.surroundings.target is None:
            return granted
        made = sum(accounts_made(self.folder / name) for name in self.results)
        seconds = max(0.0, granted.seconds - (time.time() - self.started_at))
        return replace(granted, seconds=seconds, accounts=max(0, granted.accounts - made))

    def _look_after(self) -> None:
        for execution in list(self.executions):
            running = execution.running()  # before the reading, so that nothing said after it is missed
            execution.progress.read(partial(self.watcher.progressed, execution))
            if running:
                self._hurry(execution)
            else:
                self.executions.remove(execution)
                self._gather(execution)

    def _hurry(self, execution: Execution) -> None:
        """Stops what the user wants stopped or what hangs; kills what does not stop when asked."""
        longest = LONGEST_S[self.request.surroundings.profile]
        if self.stop.requested:
            execution.ask_to_stop(self.stop.reason)
        elif execution.seconds > longest:
            execution.ask_to_stop(f"it took longer than {longest:.0f} s")
        if self.stop.at_once or execution.seconds_since_asked > PATIENCE_S:
            execution.end()

    def _gather(self, execution: Execution) -> None:
        execution.end()
        chosen = execution.chosen
        result = gather_experiment(
            self.folder,
            chosen.experiment,
            chosen.parameters,
            trouble=execution.trouble(),
            seconds=execution.seconds,
        )
        self.results[chosen.name] = result
        self.save(finished=False)
        self.watcher.finished(result)
