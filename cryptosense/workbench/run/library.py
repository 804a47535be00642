"""Where runs and notebooks lie: the one place that knows the folders."""

import os
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from cryptosense.errors import UsageError
from cryptosense.workbench.experiments import AnyExperiment, source_of

REPORTS = "reports"
LATEST = "latest"


def notebooks_folder() -> Path:
    """The notebooks: `cryptosense/_notebooks` of an installed wheel, `notebooks/` of a checkout.

    Raises:
        UsageError: neither is there.
    """
    spec = find_spec("cryptosense")
    roots = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    places = [root / "_notebooks" for root in roots] + [root.parent / "notebooks" for root in roots]
    for place in places:
        if place.is_dir():
            return place
    raise UsageError("the notebooks are missing from this installation; install cryptosense again")


def notebook_of(experiment: AnyExperiment) -> Path:
    """The experiment's notebook: among ours, or beside the module that defines the experiment.

    Raises:
        UsageError: there is none.
    """
    places = (notebooks_folder(), source_of(experiment).parent)
    for place in places:
        path = place / f"{experiment.name}.ipynb"
        if path.is_file():
            return path
    raise UsageError(
        f"the experiment {experiment.name} has no notebook {experiment.name}.ipynb in {places[0]} or {places[1]}"
    )


def new_run(reports: Path) -> Path:
    """Makes a new, empty run folder, named after the moment (UTC), and points `latest` at it.

    Raises:
        UsageError: nothing can be written there.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    try:
        reports.mkdir(parents=True, exist_ok=True)
        folder = _first_free(reports, stamp)
        _point_latest(folder)
    except OSError as error:
        raise UsageError(f"cannot write runs to {reports}: {error.strerror}; choose a folder with --out") from error
    return folder


def _first_free(reports: Path, stamp: str) -> Path:
    attempt = 1
    while True:
        folder = reports / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        try:
            folder.mkdir()
        except FileExistsError:
            attempt += 1
        else:
            return folder


def _point_latest(folder: Path) -> None:
    """Replaces the relative link in one step, so that `latest` is never missing while runs exist."""
    draft = folder.parent / f".{LATEST}.{os.getpid()}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.name)
    draft.replace(folder.parent / LATEST)


def find_run(name: str, reports: Path) -> Path:
    """The folder of a saved run, given by id, as `latest`, or as a path.

    Raises:
        UsageError: there is none; the message names the newest ones.
    """
    for candidate in (reports / name, Path(name)):
        if candidate.is_dir():
            return candidate.resolve()
    known = sorted((folder.name for folder in reports.glob("[0-9]*") if folder.is_dir()), reverse=True)[:5]
    there = f"the newest in {reports} are {', '.join(known)}" if known else f"{reports} holds no runs"
    raise UsageError(f"there is no run {name!r}; {there}")


def beside_newest(reports: Path, name: str) -> Path:
    """A fresh folder `name` in the newest run, where its report looks for it; in a new run where there is none.

    What an earlier command left there is moved aside, never deleted.

    Raises:
        UsageError: nothing can be written there.
    """
    run = (reports / LATEST).resolve() if (reports / LATEST).is_dir() else new_run(reports)
    folder = run / name
    if folder.exists():
        folder.rename(_aside(run, name))
    folder.mkdir()
    return folder


def _aside(run: Path, name: str) -> Path:
    return next(place for number in range(1, 1_000) if not (place := run / f"{name}.{number}").exists())
