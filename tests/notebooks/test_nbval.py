"""The deterministic verdict cells of the committed notebooks, run again and compared by nbval."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cryptosense.workbench.experiments import catalog
from cryptosense.workbench.run.library import notebook_of
from cryptosense.workbench.run.saved import SavedRun

QUICK = ("before_after", "integration")


def compare(name: str, reports: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-o", "addopts=",
        "-o", "timeout=0", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600",
        str(notebook_of(catalog()[name])),
    ]  # fmt: skip
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("CRYPTOSENSE_", "PYTEST_"))}
    environment = {**inherited, "CRYPTOSENSE_REPORTS": str(reports), "IPYTHONDIR": str(reports / "ipython")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.end_to_end
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.full)
        for name in catalog()
    ],
)  # fmt: skip
def test_a_notebook_run_by_hand_comes_out_as_committed_and_leaves_a_run(name: str, tmp_path: Path):
    compared = compare(name, tmp_path)
    assert compared.returncode == 0, compared.stdout[-3000:]
    run = SavedRun((tmp_path / "latest").resolve())
    assert run.experiments == [name]
    told = run[name].history  # capacity asks nothing: a driver puts the users in, and what they take is read
    assert told.operations() or told.observations("capacity.bytes")
