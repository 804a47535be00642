"""The command line without a run: refusals before anything starts, help that is quick, exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cryptosense import cli
from cryptosense.cli_service import refuse_unknown_services
from cryptosense.errors import CouldNotStart
from cryptosense.workbench.experiments import AnyExperiment, catalog
from cryptosense.workbench.run.run import prepare


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exited:
        cli.main(arguments)
    assert isinstance(exited.value.code, int)
    return exited.value.code


def test_help_names_every_command_and_imports_nothing_heavy():
    program = (
        "import sys; from cryptosense.cli import cli; cli.main(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    for command in ("validate", "list", "serve", "lab", "recheck", "report", "compare", "preflight", "target"):
        assert f"  {command} " in shown
    loaded = shown.splitlines()[-1].split()
    for heavy in ("pandas", "matplotlib", "fastapi", "redis", "papermill", "rich"):
        assert heavy not in loaded


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["validate", "moonwalk"], "there is no experiment 'moonwalk'; there are "),
        (["validate", "-p", "moonwalk"], "expected EXPERIMENT.NAME=VALUE"),
        (["validate", "-p", "moonwalk.seed=1"], "'moonwalk' is not among the experiments to run: "),
        (["validate", "cache_speedup", "-p", "cache_speedup.sede=1"], "cache_speedup has no parameter 'sede'; it has "),
        (["validate", "cache_speedup", "-p", "cache_speedup.seed=x"], "cache_speedup.seed is int, 'x' does not fit"),
        (["validate", "--profile", "slow"], "'slow' is not one of 'quick', 'full'"),
        (["validate", "cache_speedup", "--redis-url", "http://localhost"], "REDIS_URL"),
        (["validate", "cache_speedup", "--redis-url", "redis://:hush@127.0.0.1:1"], "***@127.0.0.1:1 does not answer"),
        (["recheck", "no-such-run"], "there is no run 'no-such-run'"),
        (["report", "no-such-run"], "there is no run 'no-such-run'"),
        (["compare", "no-such-run"], "there is no run 'no-such-run'"),
        (["preflight"], "name a Redis: redis://host:port"),
        (["preflight", "redis://127.0.0.1:1"], "no answer from the server"),
        (["validate", "--target", "http://93.184.216.34"], "a public address; add --allow-public"),
        (["validate", "--target", "http://a:hush@127.0.0.1"], "a target URL must not hold a password"),
        (["validate", "--target", "http://127.0.0.1:9"], "nothing was sent; add --yes"),
        (["validate", "--target", "http://127.0.0.1:9", "--target-profile", "none.toml"], "cannot read the target"),
        (["validate", "--target", "http://127.0.0.1:9", "--redis-url", "redis://:hush@h", "--yes"], "leave one of the"),
        (["validate", "load", "--target", "http://127.0.0.1:9", "-p", "load.service=csrf-2", "--yes"], "starts none"),
        (["validate", "load", "-p", "load.service=csrf_2"], "load.service=csrf_2: there is no such service; there are"),
        (["target", "check"], "name the deployment with --target URL"),
        (["validate", "--target-profile", "none.toml"], "--target-profile goes with --target URL"),
        (["validate", "--max-rate", "3"], "--max-rate goes with --target URL"),
        (["validate", "--yes"], "--yes goes with --target URL"),
        (["bench", "limitre"], "'limitre' is not one of 'limiter'"),
        (["lab", "--port", "70000"], "70000 is not in the range"),
        (["preflight", "127.0.0.1:6379"], "REDIS_URL must begin with redis://"),
        (["dance"], "No such command 'dance'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line_with_2_and_nothing_is_written(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert exit_code(*arguments) == cli.COULD_NOT
    told = capsys.readouterr()
    assert message in told.err
    assert "hush" not in told.err
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("experiment", [e for e in catalog().values() if "service" in e.parameters.model_fields])
def test_no_experiment_is_told_to_judge_a_service_that_nobody_can_start(
    experiment: AnyExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert exit_code("validate", experiment.name, "-p", f"{experiment.name}.service=moonwalk") == cli.COULD_NOT
    assert f"-p {experiment.name}.service=moonwalk: there is no such service" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("service", ["reference", "csrf-2", "memory-leak"])
def test_every_service_that_can_be_started_may_be_named(service: str):
    request = prepare(["soak"], assignments=[f"soak.service={service}"])
    refuse_unknown_services(request.chosen, targeted=False)


def test_an_error_of_ours_is_its_message_and_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def fail(**_: object) -> None:
        raise CouldNotStart("port 8000 is taken; choose another with --port")

    monkeypatch.setattr(cli.serve, "callback", fail)
    assert exit_code("serve") == cli.COULD_NOT
    assert capsys.readouterr().err == "cryptosense: port 8000 is taken; choose another with --port\n"


def test_an_interrupt_outside_a_run_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.serve, "callback", interrupted)
    assert exit_code("serve") == cli.INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").touch()
    assert exit_code("validate", "cache_speedup", "--out", str(tmp_path / "file" / "reports")) == cli.COULD_NOT
    assert "choose a folder with --out" in capsys.readouterr().err


def test_list_shows_every_experiment_with_its_question():
    shown = CliRunner().invoke(cli.cli, ["list", "--parameters"])
    assert shown.exit_code == 0, shown.output
    assert "cache_speedup" in shown.output
    assert "seed: int = 20251008" in shown.output


def test_target_init_writes_a_profile_that_target_check_reads_and_never_overwrites(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    profile = tmp_path / "target.toml"
    assert exit_code("target", "init", str(profile)) == cli.HOLDS
    check = ("target", "check", "--target", "http://127.0.0.1:9", "--target-profile", str(profile))
    assert exit_code(*check) == cli.UNDECIDED
    shown = capsys.readouterr().out
    assert "no   health at http://127.0.0.1:9: it does not answer" in shown
    assert exit_code("target", "init", str(profile)) == cli.COULD_NOT
    assert "exists already" in capsys.readouterr().err


def test_the_ceilings_that_the_user_set_are_printed_before_anything_is_sent(capsys: pytest.CaptureFixture[str]):
    exit_code("validate", "--target", "http://127.0.0.1:9", "--max-rate", "7", "--max-accounts", "1")
    assert "at most 7 requests a second, 32 at once, for 600 seconds, and 1 new accounts" in capsys.readouterr().out
