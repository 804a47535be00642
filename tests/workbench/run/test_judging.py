import asyncio
from pathlib import Path

import pytest

from cryptosense.errors import CouldNotStart, Interrupted
from cryptosense.workbench.experiments import AnyExperiment
from cryptosense.workbench.history import load_history
from cryptosense.workbench.progress import PROGRESS, ProgressLog
from cryptosense.workbench.results import VERDICTS, ExperimentVerdicts
from cryptosense.workbench.run.conduct import STOP, conduct_experiment
from cryptosense.workbench.run.gathering import gather_experiment
from cryptosense.workbench.run.judging import HISTORY, judge_saved
from cryptosense.workbench.run.parameters import choose
from cryptosense.workbench.run.surroundings import Surroundings
from cryptosense.workbench.verdicts import Verdict


async def conducted(experiment: AnyExperiment, folder: Path, **given: object) -> ExperimentVerdicts:
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 (instant)
    with ProgressLog(folder / PROGRESS) as progress:
        return await conduct_experiment(experiment, choose(experiment, given), folder, Surroundings(), progress)


def steps(folder: Path) -> bool:
    return (folder / PROGRESS).exists() and "stepping" in (folder / PROGRESS).read_text()


async def until_it_steps(folder: Path) -> None:
    while not steps(folder):  # noqa: ASYNC110 (a file has no event to wait for)
        await asyncio.sleep(0.01)


def verdicts_of(judged: ExperimentVerdicts) -> list[Verdict]:
    return [claim.verdict for claim in judged.claims]


async def test_an_experiment_holds_when_its_claims_hold_and_its_controls_are_convicted(
    tiny: AnyExperiment, tmp_path: Path
):
    judged = await conducted(tiny, tmp_path)
    assert judged.verdict is Verdict.HOLDS
    assert verdicts_of(judged) == [Verdict.HOLDS, Verdict.VIOLATED, Verdict.UNDECIDED]
    assert judged.claims[2].advisory
    assert judged.claims[2].reason.startswith("no machine reaches the moon")
    assert (tmp_path / judged.charts[0].file).read_text().startswith("<?xml")
    assert ExperimentVerdicts.read(tmp_path / VERDICTS) == judged


async def test_a_failed_step_convicts_with_its_evidence(tiny: AnyExperiment, tmp_path: Path):
    judged = await conducted(tiny, tmp_path, good=3)
    assert judged.verdict is Verdict.VIOLATED
    assert judged.claims[0].evidence == (4,)
    assert judged.claims[0].observed == 2


@pytest.mark.parametrize(
    ("ending", "error", "reason"),
    [
        ("raise", ZeroDivisionError, "the experiment failed: ZeroDivisionError: the experiment has a defect"),
        ("could-not-start", CouldNotStart, "the experiment could not go on: the server did not come up"),
    ],
)
async def test_an_experiment_that_breaks_off_is_undecided_and_its_history_kept(
    tiny: AnyExperiment, tmp_path: Path, ending: str, error: type[Exception], reason: str
):
    with pytest.raises(error):
        await conducted(tiny, tmp_path, ending=ending, good=3)
    judged = ExperimentVerdicts.read(tmp_path / VERDICTS)
    assert judged.verdict is Verdict.UNDECIDED
    assert judged.reason.startswith(reason)
    assert set(verdicts_of(judged)) == {Verdict.UNDECIDED}
    # What was seen is told, but half a run convicts nobody.
    assert "so far: VIOLATED, 2 of 5 steps failed" in judged.claims[0].reason
    assert len(load_history(tmp_path / HISTORY).operations()) == 5
    assert not load_history(tmp_path / HISTORY).complete


async def test_a_stop_request_heals_and_keeps_the_partial_run(tiny: AnyExperiment, tmp_path: Path):
    folder = tmp_path / "tiny"
    running = asyncio.create_task(conducted(tiny, folder, steps=100_000))
    await until_it_steps(folder)
    (folder / STOP).write_text("stopped by the user\n")
    with pytest.raises(Interrupted, match="stopped by the user"):
        await running
    assert (folder / "healed").exists()
    judged = ExperimentVerdicts.read(folder / VERDICTS)
    assert judged.reason == "interrupted: stopped by the user"
    assert judged.verdict is Verdict.UNDECIDED


async def test_an_interrupted_kernel_heals_and_keeps_the_partial_run(tiny: AnyExperiment, tmp_path: Path):
    folder = tmp_path / "tiny"
    running = asyncio.create_task(conducted(tiny, folder, steps=100_000))
    await until_it_steps(folder)
    running.cancel()
    with pytest.raises(Interrupted, match="stopped by hand"):
        await running
    assert (folder / "healed").exists()
    assert ExperimentVerdicts.read(folder / VERDICTS).reason == "interrupted: stopped by hand"


async def test_a_history_without_its_end_is_undecided_when_judged_again(tiny: AnyExperiment, tmp_path: Path):
    with pytest.raises(ZeroDivisionError):
        await conducted(tiny, tmp_path, ending="raise")
    judged = judge_saved(tiny, choose(tiny, {}), tmp_path, seconds=1.0)
    assert judged.verdict is Verdict.UNDECIDED
    assert judged.reason == "its history ends before the experiment did"


@pytest.mark.parametrize("left", [None, "", '{"schema": "cryptosense.verd'])
def test_missing_or_torn_verdicts_leave_every_claim_undecided_with_the_reason(
    tiny: AnyExperiment, tmp_path: Path, left: str | None
):
    (tmp_path / "tiny").mkdir()
    if left is not None:
        (tmp_path / "tiny" / VERDICTS).write_text(left)
    result = gather_experiment(tmp_path, tiny, choose(tiny, {}))
    assert result.verdict is Verdict.UNDECIDED
    assert len(result.claims) == 3
    assert {claim.verdict for claim in result.claims} == {Verdict.UNDECIDED}
    assert all("no verdicts were left" in claim.reason for claim in result.claims)
    assert result.claims[0].unit == "steps"


async def test_a_notebook_that_fails_after_the_verdicts_is_at_best_undecided(tiny: AnyExperiment, tmp_path: Path):
    await conducted(tiny, tmp_path / "tiny")
    result = gather_experiment(tmp_path, tiny, choose(tiny, {}), trouble="cell 6 of the notebook failed: KeyError: x")
    assert result.verdict is Verdict.UNDECIDED
    assert result.reason == "cell 6 of the notebook failed: KeyError: x"
    assert result.claims[0].verdict is Verdict.HOLDS


async def test_a_notebook_that_fails_after_a_violation_leaves_it_violated(tiny: AnyExperiment, tmp_path: Path):
    await conducted(tiny, tmp_path / "tiny", good=0)
    result = gather_experiment(tmp_path, tiny, choose(tiny, {}), trouble="the kernel died")
    assert result.verdict is Verdict.VIOLATED


async def test_a_chart_that_cannot_be_drawn_costs_no_verdict(
    tiny: AnyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise LookupError("no ink")

    monkeypatch.setattr(type(tiny), "charts", broken)
    judged = await conducted(tiny, tmp_path)
    assert judged.verdict is Verdict.HOLDS
    assert judged.reason == "the charts could not be drawn: LookupError: no ink"
