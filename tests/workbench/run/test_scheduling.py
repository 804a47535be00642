"""Which experiments may share the machine, and when."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cryptosense.workbench.experiments import AnyExperiment
from cryptosense.workbench.history import Operation, Outcome, Recorder
from cryptosense.workbench.progress import ProgressLog, ProgressReader, Status
from cryptosense.workbench.run import run
from cryptosense.workbench.run.execution import Chosen
from cryptosense.workbench.run.parameters import choose
from cryptosense.workbench.run.run import LONGEST_S, PATIENCE_S, RunRequest
from cryptosense.workbench.run.stopping import StopRequest
from cryptosense.workbench.run.surroundings import Surroundings
from cryptosense.workbench.target import Target
from cryptosense.workbench.targets.ceilings import Ceilings


class Watcher:
    def __init__(self) -> None:
        self.started_names: list[str] = []
        self.told: list[str] = []

    def begun(self, *_: object) -> None: ...

    def started(self, execution: Any) -> None:
        self.started_names.append(execution.chosen.name)

    def progressed(self, execution: Any) -> None:
        self.told.append(execution.progress.status.phase)

    def changed(self, *_: object) -> None: ...

    def finished(self, *_: object) -> None:
        self.told.append("its verdict")


class Execution:
    """Runs until the test says otherwise."""

    def __init__(self, chosen: Chosen, *_: object) -> None:
        self.chosen = chosen
        self.progress = SimpleNamespace(status=Status(), read=lambda _: None)
        self.alive = True
        self.seconds = 0.0
        self.asked = ""
        self.seconds_since_asked = 0.0

    def running(self) -> bool:
        return self.alive

    def ask_to_stop(self, reason: str) -> None:
        self.asked = self.asked or reason

    def end(self) -> None:
        self.alive = False

    def trouble(self) -> str:
        return f"interrupted: {self.asked}" if self.asked else ""


@pytest.fixture
def make(tiny: AnyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "Execution", Execution)

    def named(name: str, *, parallel_safe: bool) -> Chosen:
        kind = type(name, (type(tiny),), {"name": name, "parallel_safe": parallel_safe})
        return Chosen(kind(), choose(tiny, {}))

    def made(**parallel_safe: bool) -> Any:
        chosen = tuple(named(name, parallel_safe=safe) for name, safe in parallel_safe.items())
        (tmp_path / "run").mkdir()
        return run._Run(RunRequest(chosen, Surroundings()), tmp_path / "run", {}, Watcher(), StopRequest())

    return made


def start_what_may(running: Any, waiting: list[Chosen], tmp_path: Path) -> list[str]:
    before = len(running.watcher.started_names)
    while startable := next(filter(running._may_start, waiting), None):
        waiting.remove(startable)
        running._start(startable, tmp_path)
    return running.watcher.started_names[before:]


def test_an_experiment_has_the_machine_to_itself_until_it_only_judges(make, tmp_path: Path):
    running = make(a=False, b=False)
    waiting = list(running.request.chosen)
    assert start_what_may(running, waiting, tmp_path) == ["a"]
    running.executions[0].progress.status.phase = "judging"
    assert start_what_may(running, waiting, tmp_path) == ["b"]


def test_two_that_bear_company_run_side_by_side_and_an_exclusive_one_waits(make, tmp_path: Path):
    running = make(a=True, b=False, c=True, d=True)
    waiting = list(running.request.chosen)
    assert start_what_may(running, waiting, tmp_path) == ["a", "c"]
    running.executions[0].alive = False
    running._look_after()
    # b is next in order, but c still measures; d may join c.
    assert start_what_may(running, waiting, tmp_path) == ["d"]


def test_one_that_hangs_is_asked_to_stop_and_then_ended(make, tmp_path: Path):
    running = make(a=False)
    start_what_may(running, list(running.request.chosen), tmp_path)
    (execution,) = running.executions
    running._look_after()
    assert not execution.asked
    execution.seconds = LONGEST_S["quick"] + 1
    running._look_after()
    assert execution.asked == "it took longer than 600 s"
    assert execution.alive
    execution.seconds_since_asked = PATIENCE_S + 1
    running._look_after()
    running._look_after()
    assert running.results["a"].reason == "interrupted: it took longer than 600 s"
    assert running.results["a"].verdict == "UNDECIDED"


def test_what_an_experiment_said_last_is_told_before_its_verdict_however_soon_it_ended(make, tmp_path: Path):
    running = make(a=False)
    start_what_may(running, list(running.request.chosen), tmp_path)
    (execution,) = running.executions
    execution.progress = ProgressReader(tmp_path / "progress.jsonl")
    alive = execution.running

    def ends_as_it_is_looked_at() -> bool:
        with ProgressLog(tmp_path / "progress.jsonl") as log:
            log.phase("stepping")
            log.phase("judging")
        execution.alive = False
        return alive()

    execution.running = ends_as_it_is_looked_at
    running._look_after()
    assert running.watcher.told[:2] == ["stepping", "judging"]
    assert running.watcher.told[-1] == "its verdict"
    assert running.executions == []


def test_what_never_began_is_undecided_claim_by_claim(make):
    running = make(a=False, b=False)
    running.stop.add("stopped by the user")
    saved = running.save(finished=True)
    assert saved.interrupted
    assert [one.reason for one in saved.experiments] == ["interrupted before it began"] * 2
    assert all(claim.verdict == "UNDECIDED" for one in saved.experiments for claim in one.claims)


def test_a_foreign_deployment_sees_one_experiment_at_a_time_and_what_is_left_of_the_ceilings(make, tmp_path: Path):
    running = make(a=True, b=True)
    granted = Ceilings(seconds=100, accounts=3)
    target = Target(urls=("http://127.0.0.1:9",), foreign=True).model_dump_json()
    running.request = RunRequest(running.request.chosen, Surroundings(target=target, ceilings=granted))
    waiting = list(running.request.chosen)
    assert start_what_may(running, waiting, tmp_path) == ["a"]
    running.executions[0].progress.status.phase = "judging"
    assert start_what_may(running, waiting, tmp_path) == []
    (tmp_path / "run" / "a").mkdir()
    with Recorder(tmp_path / "run" / "a" / "history.jsonl.gz") as recorder:
        recorder.record(Operation(1, "auth.register", "s1", "http://x", 0.0, 1.0, Outcome.OK))
    running.executions[0].alive = False
    running.started_at -= 40
    running._look_after()
    left = running._ceilings_left()
    assert left.accounts == 2
    assert left.seconds == pytest.approx(60, abs=5)
