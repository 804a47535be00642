"""What tests of the experiments share: a lab without a terminal, and a run judged from its saved history."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from cryptosense.workbench.claims.claim import Judgement, judge
from cryptosense.workbench.experiment import Chart, Parameters
from cryptosense.workbench.experiments import AnyExperiment
from cryptosense.workbench.history import History, Recorder, load_history
from cryptosense.workbench.topology.deployments import open_deployment
from cryptosense.workbench.verdicts import Verdict


class SilentProgress:
    """Takes what an experiment says and shows nothing."""

    def phase(self, name, *, expected_seconds=None): ...

    def advance(self, operations): ...

    def fault(self, label): ...


class SmallLab:
    """Implements `experiment.Lab` in a folder of the test's."""

    def __init__(self, folder: Path, recorder: Recorder) -> None:
        self.folder = folder
        self.recorder = recorder
        self.progress = SilentProgress()

    def deploy(self, plan):
        return open_deployment(plan, folder=self.folder)


class Judged:
    """A run's judgements and charts, both made from what was saved."""

    def __init__(self, experiment: AnyExperiment, parameters: Parameters, history: History) -> None:
        self.history = history
        self.judgements: Sequence[Judgement] = [judge(claim, history) for claim in experiment.claims(parameters)]
        self.charts: Sequence[Chart] = experiment.charts(parameters, history, self.judgements)
        for chart in self.charts:
            plt.close(chart.figure)

    def not_holding(self) -> dict[str, str]:
        """Claims that do not count as HOLDS, with verdict and reason."""
        return {
            item.claim.id: f"{item.finding.verdict}: {item.finding.reason}"
            for item in self.judgements
            if item.counts_as is not Verdict.HOLDS and item.claim.advisory is None
        }

    def violated(self) -> set[str]:
        return {item.claim.id for item in self.judgements if item.finding.verdict is Verdict.VIOLATED}


@pytest.fixture
def conducted(tmp_path):
    """Conducts an experiment on real processes and judges the saved history."""

    async def conduct(experiment: AnyExperiment, **parameters: object) -> Judged:
        chosen = experiment.parameters(**parameters)
        path = tmp_path / "history.jsonl.gz"
        with Recorder(path) as recorder:
            await experiment.conduct(chosen, SmallLab(tmp_path, recorder))
        return Judged(experiment, chosen, load_history(path))

    return conduct


@pytest.fixture
def unrecorded():
    """An experiment judged on a run that recorded nothing."""

    def judged(experiment: AnyExperiment, **parameters: object) -> Judged:
        return Judged(experiment, experiment.parameters(**parameters), History(started_at=0.0, events=()))

    return judged
