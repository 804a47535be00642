"""What a notebook needs, and nothing else: conduct an experiment, open a saved run.

run = await notebook.conduct("before_after", seed=7)
run.verdicts()
run.chart("failure_rate")
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from typing import Any

from cryptosense.errors import CryptoSenseError
from cryptosense.workbench.experiments import find_experiment
from cryptosense.workbench.progress import PROGRESS, ProgressLog
from cryptosense.workbench.run.conduct import conduct_experiment
from cryptosense.workbench.run.library import LATEST, find_run, new_run
from cryptosense.workbench.run.parameters import choose
from cryptosense.workbench.run.saved import SavedExperiment, SavedRun
from cryptosense.workbench.run.surroundings import Surroundings

__all__ = ["conduct", "load_run"]

_REFRESH_S = 0.5


async def conduct(name: str, **parameters: Any) -> SavedExperiment:
    """Runs the experiment with these parameters (the quick profile's where none is given) and judges it.

    Within `cryptosense validate` it belongs to that run; by hand it is a new run of its own under `reports/`. While it
    runs, its phase, operations and faults are shown. Interrupting the kernel heals every fault, ends every process and
    keeps the partial run.

    Raises:
        UsageError: there is no such experiment or parameter, or a value does not fit.
        Interrupted: it was stopped.
        CryptoSenseError: it could not start or go on; the partial run is kept.
    """
    experiment = find_experiment(name)
    chosen = choose(experiment, parameters)
    surroundings = Surroundings.from_environment(os.environ)
    by_hand = surroundings.folder is None
    folder = surroundings.folder or new_run(surroundings.reports) / name
    folder.mkdir(exist_ok=True)
    started_at = time.time()
    with ProgressLog(folder / PROGRESS) as progress:
        try:
            async with _shown(name, progress, folder):
                await conduct_experiment(experiment, chosen, folder, surroundings, progress)
        finally:
            if by_hand:
                _write_results(folder, surroundings, started_at)
    return SavedExperiment(folder)


def load_run(name: str = LATEST) -> SavedRun:
    """Opens a saved run by id, as `latest`, or by its folder; `load_run()["failover"].operations()` is a data frame.

    Raises:
        UsageError: there is no such run.
        WorkbenchError: it has no readable `results.json`.
    """
    return SavedRun(find_run(name, Surroundings.from_environment(os.environ).reports))


def _write_results(folder: Path, surroundings: Surroundings, started_at: float) -> None:
    """A notebook run by hand leaves the same `results.json` as the command line does."""
    from cryptosense.workbench.run.gathering import gather_hand_run  # noqa: PLC0415 (asks the server for its version)

    gather_hand_run(folder, surroundings, started_at)


@asynccontextmanager
async def _shown(name: str, progress: ProgressLog, folder: Path) -> AsyncIterator[None]:
    """Shows the progress below the cell, if there is a cell, and in the end what came of it."""
    from IPython.core.getipython import get_ipython  # noqa: PLC0415
    from IPython.display import HTML, display  # noqa: PLC0415

    if get_ipython() is None:
        yield
        return
    started = time.monotonic()
    handle = display(HTML(_line(name, "starting", 0.0)), display_id=True)

    async def keep_showing() -> None:
        while True:
            sentence = progress.status.sentence(time.time())
            handle.update(HTML(_line(name, sentence, time.monotonic() - started)))
            await asyncio.sleep(_REFRESH_S)

    shown = asyncio.create_task(keep_showing())
    ending = "done"
    try:
        yield
    except CryptoSenseError as error:
        ending = f"ended early: {str(error).partition(chr(10))[0]}"
        raise
    finally:
        shown.cancel()
        sentence = f"{ending} · {progress.status.operations:,} operations · kept in {folder}"
        handle.update(HTML(_line(name, sentence, time.monotonic() - started)))


def _line(name: str, sentence: str, seconds: float) -> str:
    return f"<p><b>{escape(name)}</b> · {seconds:.0f} s · {escape(sentence)}</p>"
