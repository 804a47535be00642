"""`cryptosense validate` as a user meets it: a command in a process of its own, on the tiny experiment."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import nbformat
import psutil
import pytest

PATIENCE_S = 60.0


def until(condition: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < limit, f"waited in vain for {what}"
        time.sleep(0.05)


def progress(reports: Path) -> str:
    try:
        return (reports / "latest" / "tiny" / "progress.jsonl").read_text()
    except FileNotFoundError:
        return ""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, run_command) -> tuple[Path, subprocess.CompletedProcess[str]]:
    reports = tmp_path_factory.mktemp("finished") / "reports"
    ran = run_command("validate", "tiny", "--out", str(reports), "-p", "tiny.steps=6", "-p", "tiny.good=6")
    return reports, ran


@pytest.mark.end_to_end
def test_a_run_that_holds_ends_with_0_and_leaves_everything(finished, saved_results):
    reports, ran = finished
    assert ran.returncode == 0, ran.stderr
    run = (reports / "latest").resolve()
    assert (reports / "latest").readlink() == Path(run.name)
    told = saved_results(reports)
    assert (told["schema"], told["verdict"], told["interrupted"]) == ("cryptosense.results/1", "HOLDS", False)
    assert told["run_id"] == run.name
    assert told["finished_at"] >= told["started_at"]
    assert told["environment"]["server"]["kind"].startswith("embedded")
    (tiny,) = told["experiments"]
    assert tiny["parameters"]["steps"] == 6
    assert [claim["verdict"] for claim in tiny["claims"]] == ["HOLDS", "VIOLATED", "UNDECIDED"]
    for name in ("plan.json", "history.jsonl.gz", "verdicts.json", "figures/steps.svg", "tiny.ipynb"):
        assert (run / "tiny" / name).is_file(), name


@pytest.mark.end_to_end
def test_a_pipe_gets_plain_lines_with_phases_verdicts_and_the_report(finished):
    reports, ran = finished
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("run ")
    assert any(line.startswith("tiny: stepping (") for line in lines)
    assert any(line.startswith("tiny: HOLDS after") for line in lines)
    assert lines[-1] == f"Report: {(reports / 'latest').resolve() / 'index.html'}"
    assert "\x1b" not in ran.stdout


@pytest.mark.end_to_end
def test_the_executed_notebook_holds_injected_parameters_tables_and_charts(finished):
    reports, _ = finished
    notebook = nbformat.read(reports / "latest" / "tiny" / "tiny.ipynb", as_version=4)
    injected = [cell for cell in notebook.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert "steps = 6" in injected[0].source
    shown = "".join(
        output.get("data", {}).get("text/html", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "Every step succeeds" in shown
    assert 'alt="6 steps" src="data:image/svg+xml' in shown
    assert "6 operations" in shown


@pytest.mark.end_to_end
def test_a_saved_run_opens_as_data_frames(finished):
    from cryptosense.workbench.run.saved import SavedRun

    run = SavedRun((finished[0] / "latest").resolve())
    frame = run["tiny"].operations()
    assert len(frame) == 6
    assert set(frame.outcome) == {"ok"}
    assert list(run["tiny"].spans().name) == ["stepping"]
    assert "HOLDS" in repr(run)
    assert repr(run["tiny"].chart("steps")) == "Steps. 6 steps"
    # Which charts there are may depend on the parameters, so a cell that asks in vain must not fail the notebook.
    assert "has no chart 'stepz'; it has steps" in repr(run["tiny"].chart("stepz"))


@pytest.mark.end_to_end
def test_recheck_judges_a_saved_history_again_without_running(finished, run_command, saved_results):
    reports, _ = finished
    folder = reports / "latest" / "tiny"
    verdicts = json.loads((folder / "verdicts.json").read_text())
    before = saved_results(reports)
    verdicts["claims"] = []
    (folder / "verdicts.json").write_text(json.dumps(verdicts))
    (folder / "figures" / "steps.svg").unlink()
    again = run_command("recheck", "latest", "--out", str(reports))
    assert again.returncode == 0, again.stderr
    assert len(json.loads((folder / "verdicts.json").read_text())["claims"]) == 3
    assert (folder / "figures" / "steps.svg").exists()
    assert saved_results(reports)["experiments"][0]["claims"] == before["experiments"][0]["claims"]


@pytest.mark.end_to_end
def test_a_violation_ends_with_1_and_is_named_with_its_figures(tmp_path: Path, run_command):
    ran = run_command("validate", "tiny", "--out", str(tmp_path), "-p", "tiny.good=2")
    assert ran.returncode == 1
    assert "tiny-all-ok: Every step succeeds (expected 0 steps, observed 3 steps). 3 of 5 steps failed" in ran.stdout


@pytest.mark.end_to_end
def test_a_killed_kernel_is_undecided_and_takes_nothing_down(tmp_path: Path, run_command, saved_results, leftovers):
    marker = uuid4().hex
    ran = run_command(
        "validate", "tiny", "--out", str(tmp_path), "-p", "tiny.ending=kill-kernel", "-p", "tiny.child=true",
        marker=marker,
    )  # fmt: skip
    assert ran.returncode == 3, ran.stderr
    (tiny,) = saved_results(tmp_path)["experiments"]
    assert tiny["reason"] == "the kernel died"
    assert {claim["verdict"] for claim in tiny["claims"]} == {"UNDECIDED"}
    assert (tmp_path / "latest" / "tiny" / "history.jsonl.gz").exists()
    notebook = nbformat.read(tmp_path / "latest" / "tiny" / "tiny.ipynb", as_version=4)
    assert "did not come to its end: the kernel died" in notebook.cells[0].source
    until(lambda: leftovers(marker) == [], "the kernel's child to be gone")


@pytest.mark.end_to_end
def test_a_failing_cell_is_undecided_and_named(tmp_path: Path, run_command, saved_results):
    ran = run_command("validate", "tiny", "--out", str(tmp_path), "-p", "tiny.ending=raise")
    assert ran.returncode == 3, ran.stderr
    (tiny,) = saved_results(tmp_path)["experiments"]
    assert tiny["reason"] == "the experiment failed: ZeroDivisionError: the experiment has a defect"
    assert "tiny is UNDECIDED: the experiment failed" in ran.stdout


@pytest.mark.end_to_end
@pytest.mark.parametrize("moment", ["before the kernel", "while it works"])
def test_ctrl_c_heals_keeps_the_partial_run_and_ends_with_130(
    tmp_path: Path, start_command, saved_results, leftovers, moment: str
):
    marker = uuid4().hex
    command = start_command(
        "validate", "tiny", "--out", str(tmp_path), "-p", "tiny.steps=100000", "-p", "tiny.child=true", marker=marker
    )
    if moment == "before the kernel":
        until((tmp_path / "latest" / "tiny" / "notebook.log").exists, "the notebook's process")
    else:
        until(lambda: "stepping" in progress(tmp_path), "the experiment to step")
        until((tmp_path / "latest" / "tiny" / "child.pid").exists, "the experiment's child")
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 130, err
    assert "faults are healed" in err
    told = saved_results(tmp_path)
    assert told["interrupted"]
    assert told["finished_at"]
    assert told["verdict"] == "UNDECIDED"
    assert told["experiments"][0]["reason"] == "interrupted: stopped by the user"
    assert "this run is partial" in out
    assert (tmp_path / "latest" / "tiny" / "healed").exists()
    until(lambda: leftovers(marker) == [], "every process to be gone")


@pytest.mark.end_to_end
def test_a_second_ctrl_c_ends_everything_at_once(tmp_path: Path, start_command, saved_results, leftovers):
    marker = uuid4().hex
    command = start_command("validate", "tiny", "--out", str(tmp_path), "-p", "tiny.steps=100000", marker=marker)
    until(lambda: "stepping" in progress(tmp_path), "the experiment to step")
    for process in leftovers(marker):
        if "ipykernel_launcher" in " ".join(process.cmdline()):
            process.send_signal(signal.SIGSTOP)  # a kernel that cannot heal any more
    command.send_signal(signal.SIGINT)
    time.sleep(0.5)
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 130, err
    assert saved_results(tmp_path)["experiments"][0]["reason"] == "interrupted: stopped by the user"
    until(lambda: leftovers(marker) == [], "every process to be gone")


@pytest.mark.end_to_end
@pytest.mark.parametrize("victim", ["the command", "the notebook's process"])
def test_sigkill_leaves_no_process_behind(tmp_path: Path, start_command, saved_results, leftovers, victim: str):
    marker = uuid4().hex
    command = start_command(
        "validate", "tiny", "--out", str(tmp_path), "-p", "tiny.steps=100000", "-p", "tiny.child=true", marker=marker
    )
    until((tmp_path / "latest" / "tiny" / "child.pid").exists, "the experiment's child")
    child = psutil.Process(int((tmp_path / "latest" / "tiny" / "child.pid").read_text()))
    if victim == "the command":
        command.kill()
        command.communicate()
        # Even so the folder says what became of the run.
        assert saved_results(tmp_path)["finished_at"] is None
        assert saved_results(tmp_path)["verdict"] == "UNDECIDED"
    else:
        (papermill,) = (one for one in leftovers(marker) if "papermill_child" in " ".join(one.cmdline()[:4]))
        papermill.kill()
        command.communicate(timeout=PATIENCE_S)
        assert command.returncode == 3
        assert "was ended by SIGKILL" in saved_results(tmp_path)["experiments"][0]["reason"]
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the child to be gone")
    until(lambda: leftovers(marker) == [], "every process to be gone")
