"""One experiment's notebook on its way: started as a process, watched, asked to stop, ended."""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptosense.workbench.experiment import Parameters
from cryptosense.workbench.experiments import AnyExperiment
from cryptosense.workbench.progress import PROGRESS, ProgressReader
from cryptosense.workbench.run.conduct import STOP
from cryptosense.workbench.run.library import notebook_of
from cryptosense.workbench.run.parameters import plain
from cryptosense.workbench.run.surroundings import Surroundings
from cryptosense.workbench.topology.reaper import REAPER, kill_group

LOG = "notebook.log"
TROUBLE = "notebook-trouble.txt"


@dataclass(frozen=True, slots=True)
class Chosen:
    """An experiment with the parameters that it will run with; `changed` names those that are not its defaults."""

    experiment: AnyExperiment
    parameters: Parameters
    changed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.experiment.name

    @property
    def parallel_safe(self) -> bool:
        return bool(getattr(self.experiment, "parallel_safe", False))

    def plain_changed(self) -> dict[str, Any]:
        return plain(self.parameters, self.changed)


class Execution:
    """The notebook of one experiment, executed in a process of its own, which the reaper knows."""

    def __init__(self, chosen: Chosen, folder: Path, surroundings: Surroundings, runtime: Path) -> None:
        self.chosen = chosen
        self.folder = folder
        self.progress = ProgressReader(folder / PROGRESS)
        self.started = time.monotonic()
        self._stop_reason = ""
        self._stop_asked = 0.0
        folder.mkdir()
        request = {
            "notebook": str(notebook_of(chosen.experiment)),
            "output": str(folder.resolve() / f"{chosen.name}.ipynb"),
            "parameters": chosen.plain_changed(),
            "runtime": str(runtime),
            "cwd": str(folder.resolve()),
        }
        command = [sys.executable, "-m", "cryptosense.workbench.run.papermill_child", json.dumps(request)]
        with (folder / LOG).open("ab") as log:
            self._process = REAPER.spawn(command, env=_environment(surroundings, runtime), cwd=folder, output=log)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def ask_to_stop(self, reason: str) -> None:
        """Asks the experiment to heal, end and keep what it has; only the first reason counts."""
        if not self._stop_reason:
            self._stop_reason = reason
            self._stop_asked = time.monotonic()
            (self.folder / STOP).write_text(reason + "\n", encoding="utf-8")

    @property
    def seconds_since_asked(self) -> float:
        """How long it has been asked to stop; 0 while it has not."""
        return time.monotonic() - self._stop_asked if self._stop_reason else 0.0

    def end(self) -> None:
        """Ends whatever is left: this kills the child's group, its reaper the kernel, the kernel's the rest."""
        if self.running():
            kill_group(self._process.pid)
        self._process.wait()
        REAPER.release(self._process.pid)

    def trouble(self) -> str:
        """Why the notebook did not come to its end, or nothing. Asked after it has ended."""
        code = self._process.wait()
        if code == 0:
            return ""
        if self._stop_reason:
            return f"interrupted: {self._stop_reason}"
        try:
            told = (self.folder / TROUBLE).read_text(encoding="utf-8").strip()
        except OSError:
            told = ""
        return told or f"the process that executed the notebook {_ending(code)}; see {self.folder.name}/{LOG}"


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _environment(surroundings: Surroundings, runtime: Path) -> Mapping[str, str]:
    """The user's environment, with every folder that Jupyter and IPython would share with others made private."""
    return {
        **os.environ,
        **surroundings.to_environment(),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "IPYTHONDIR": str(runtime / "ipython"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "PYTHONUNBUFFERED": "1",
    }
