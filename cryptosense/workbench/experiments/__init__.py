"""The experiments, found by looking: one module each, exporting `EXPERIMENT`.

A company's own experiments are found too: a package that declares an entry point in the group
`cryptosense.experiments` whose value is `module:EXPERIMENT`, with the notebook of the experiment's name beside that
module.
"""

import importlib
import inspect
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cryptosense.errors import UsageError
from cryptosense.workbench.experiment import Experiment

ENTRY_POINTS = "cryptosense.experiments"

AnyExperiment = Experiment[Any]


@cache
def catalog() -> dict[str, AnyExperiment]:
    """Every experiment by name, in the order in which a reader would take them.

    Raises:
        UsageError: two experiments have one name.
    """
    found = [*_shipped(), *(point.load() for point in entry_points(group=ENTRY_POINTS))]
    named: dict[str, AnyExperiment] = {}
    for experiment in sorted(found, key=lambda experiment: (experiment.order, experiment.name)):
        if experiment.name in named:
            raise UsageError(f"two experiments are named {experiment.name}; rename one of them")
        named[experiment.name] = experiment
    return named


def _shipped() -> list[AnyExperiment]:
    modules = (importlib.import_module(module.name) for module in pkgutil.iter_modules(__path__, f"{__name__}."))
    return [module.EXPERIMENT for module in modules if hasattr(module, "EXPERIMENT")]


def find_experiment(name: str) -> AnyExperiment:
    """The experiment of that name.

    Raises:
        UsageError: there is none; the message names those that there are.
    """
    if name.isidentifier() and find_spec(f"{__name__}.{name}"):
        # Its own module first, so that a kernel need not import all the others.
        shipped: AnyExperiment = importlib.import_module(f"{__name__}.{name}").EXPERIMENT
        return shipped
    known = catalog()
    if name not in known:
        raise UsageError(f"there is no experiment {name!r}; there are {', '.join(known)}")
    return known[name]


def source_of(experiment: AnyExperiment) -> Path:
    """The file that defines the experiment."""
    return Path(inspect.getfile(type(experiment)))
