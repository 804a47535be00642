"""JupyterLab as an engineer uses it: open a notebook from the start page, run it, interrupt it.

The lab runs on a copy of the notebooks, made small, so that nothing in the checkout is written to.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

import cryptosense
from cryptosense.workbench.run.library import notebooks_folder
from cryptosense.workbench.topology.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.end_to_end, pytest.mark.timeout(420)]

_LONGEST_S = 150
_SMALL = {"instances": 2, "sessions": 2, "posts": 4}


def _copy_package(folder: Path) -> Path:
    """A place to import the package from whose notebooks are copies with small parameters."""
    package = Path(cryptosense.__file__).parent
    folder.mkdir()
    (folder / "cryptosense").symlink_to(package, target_is_directory=True)
    shutil.copytree(notebooks_folder(), folder / "notebooks")
    path = folder / "notebooks" / "before_after.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cell = next(cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", ()))
    source = "".join(cell["source"])
    for name, value in _SMALL.items():
        source = re.sub(rf"^({name}: int = )\d+", rf"\g<1>{value}", source, flags=re.MULTILINE)
    cell["source"] = source
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium) -> Iterator[SimpleNamespace]:
    """A running `cryptosense lab`: its address, its reports and its process."""
    folder = tmp_path_factory.mktemp("lab")
    tree, reports, log = _copy_package(folder / "tree"), folder / "reports", folder / "lab.log"
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    port = free_port()
    command = [sys.executable, "-m", "cryptosense", "lab", "--no-browser", "--port", str(port), "--out", str(reports)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
    try:
        yield SimpleNamespace(url=_address(log, process), reports=reports, process=process, folder=folder)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    found = None
    until = time.monotonic() + _LONGEST_S
    while found is None:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < until, log.read_text(encoding="utf-8")
        found = re.search(r"http://127\.0\.0\.1:\d+/\S+", log.read_text(encoding="utf-8"))
        time.sleep(0.2)
    return found[0]


@pytest.fixture
def start_page(lab, chromium) -> Iterator[object]:
    page = chromium.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(1000 * _LONGEST_S)
    page.goto(lab.url)
    page.get_by_text("Why migrate at all?").first.wait_for()
    yield page
    page.close()


def _open_and_run(page) -> None:
    page.locator(".jp-RenderedMarkdown a", has_text="before_after").first.click()
    page.get_by_text("| Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).first.click()
    page.locator('li[data-command="runmenu:run-all"]').click()


def _until(happened: Callable[[], object], what: str) -> None:
    until = time.monotonic() + _LONGEST_S
    while not happened():
        assert time.monotonic() < until, f"{what} did not happen"
        time.sleep(0.3)


def _left_behind(lab) -> list[str]:
    """Processes that live in the lab's reports folder: servers and instances of a run."""
    found = []
    for process in psutil.process_iter():
        try:
            told = f"{process.cwd()} {' '.join(process.cmdline())}"
        except psutil.Error:
            continue
        if str(lab.reports) in told and process.pid != lab.process.pid:
            found.append(told)
    return found


def test_a_notebook_opened_from_the_start_page_runs_shows_progress_and_verdicts(lab, start_page):
    _open_and_run(start_page)
    start_page.get_by_text(re.compile(r"before_after · \d+ s · .* operations")).first.wait_for()
    start_page.get_by_text("redis-2-csrf").first.wait_for()
    start_page.locator(".jp-OutputArea img[alt*='in Redis']").wait_for()
    folder = (lab.reports / "latest").resolve()
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    claims = {claim["id"]: claim["verdict"] for claim in results["experiments"][0]["claims"]}
    assert claims["redis-2-csrf"] == "HOLDS"
    assert claims["memory-2-csrf"] == "VIOLATED"
    assert results["experiments"][0]["parameters"]["instances"] == _SMALL["instances"]
    _until(lambda: not _left_behind(lab), "the end of every process of the run")


def test_interrupting_the_kernel_ends_every_process_and_keeps_what_was_seen(lab, start_page):
    known = set(lab.reports.glob("[0-9]*"))
    _open_and_run(start_page)
    _until(lambda: _left_behind(lab), "the start of the run's processes")
    start_page.get_by_role("menuitem", name="Kernel", exact=True).first.click()
    start_page.locator('li[data-command="kernelmenu:interrupt"]').click()
    start_page.get_by_text(re.compile("ended early|Interrupted|KeyboardInterrupt|CancelledError")).first.wait_for()
    _until(lambda: not _left_behind(lab), "the end of every process of the run")
    (folder,) = set(lab.reports.glob("[0-9]*")) - known
    _until((folder / "results.json").exists, "the partial run's results")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["verdict"] == "UNDECIDED"
    assert "interrupted" in results["experiments"][0]["reason"]
