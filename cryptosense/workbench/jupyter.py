"""JupyterLab on the notebooks, opening with the page that says what each of them asks."""

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from cryptosense.errors import UsageError
from cryptosense.workbench.run.library import notebooks_folder
from cryptosense.workbench.run.surroundings import Surroundings

START_PAGE = "start.md"
COPIES = "cryptosense-notebooks"

_SETTINGS = Path(__file__).parent / "lab_settings"


def open_lab(*, reports: Path, port: int, browser: bool) -> NoReturn:
    """Becomes JupyterLab, so that Ctrl-C, the terminal and the exit code are its own.

    Raises:
        UsageError: the notebooks are missing, or cannot be copied to where they may be changed.
    """
    folder = writable_notebooks(Path.cwd())
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={folder}",
        f"--ServerApp.port={port}",
        f"--LabApp.default_url=/lab/tree/{START_PAGE}",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=",
        # As root, which containers often are, Jupyter would refuse to start; it listens on loopback only.
        *(["--allow-root"] if os.geteuid() == 0 else []),
        *([] if browser else ["--no-browser"]),
    ]
    environment = {
        **os.environ,
        **Surroundings(reports=reports).to_environment(),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, [str(_SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH")])),
    }
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)  # noqa: S606 (a fixed program, and no shell is wanted)


def writable_notebooks(here: Path) -> Path:
    """A checkout's own notebooks; of an installed package, copies in a folder below `here`.

    Copies that are there already stay as they are: they may have been changed.

    Raises:
        UsageError: the copies cannot be made.
    """
    source = notebooks_folder()
    if source.name == "notebooks" and os.access(source, os.W_OK):
        return source
    copies = here / COPIES
    try:
        copies.mkdir(exist_ok=True)
        for original in sorted(source.iterdir()):
            copy = copies / original.name
            if original.is_file() and not copy.exists():
                shutil.copyfile(original, copy)
    except OSError as error:
        raise UsageError(
            f"cannot copy the notebooks to {copies}: {error.strerror}; run it from another folder"
        ) from error
    return copies
