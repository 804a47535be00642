"""The tiny experiment of `plugin/`, installed for a test as a company would install its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from cryptosense.workbench.experiments import AnyExperiment, catalog, find_experiment

PLUGIN = Path(__file__).parent / "plugin"


class Start(Protocol):
    def __call__(self, *arguments: str, marker: str = "none") -> subprocess.Popen[str]: ...


class Run(Protocol):
    def __call__(self, *arguments: str, marker: str = "none") -> subprocess.CompletedProcess[str]: ...


def _start(*arguments: str, marker: str = "none") -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CRYPTOSENSE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "cryptosense", *arguments],
        # The marker is inherited, so it finds whatever a run left behind, wherever in the process tree it went.
        env={**inherited, "PYTHONPATH": str(PLUGIN), "COLUMNS": "200", "TEST_MARKER": marker},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(*arguments: str, marker: str = "none") -> subprocess.CompletedProcess[str]:
    command = _start(*arguments, marker=marker)
    out, err = command.communicate(timeout=150)
    return subprocess.CompletedProcess(arguments, command.returncode, out, err)


def _marked(marker: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get("TEST_MARKER") == marker:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _results(reports: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((reports / "latest" / "results.json").read_text())
    return read


@pytest.fixture(scope="session")
def run_command() -> Run:
    """Runs `cryptosense` to its end, with the tiny experiment installed."""
    return _run


@pytest.fixture
def start_command() -> Iterator[Start]:
    """Starts `cryptosense`; what still runs at the test's end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, marker: str = "none") -> subprocess.Popen[str]:
        started.append(_start(*arguments, marker=marker))
        return started[-1]

    yield start
    for command in started:
        if command.poll() is None:
            command.kill()
            command.communicate()


@pytest.fixture
def leftovers() -> Callable[[str], list[psutil.Process]]:
    """Living processes that descend from a command started with that marker."""
    return _marked


@pytest.fixture(scope="session")
def saved_results() -> Callable[[Path], dict[str, Any]]:
    """`results.json` of the newest run."""
    return _results


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnyExperiment]:
    monkeypatch.syspath_prepend(str(PLUGIN))
    catalog.cache_clear()
    yield find_experiment("tiny")
    catalog.cache_clear()
