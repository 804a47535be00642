"""The one command that does a run again."""

import shlex
from typing import Any

from cryptosense.errors import UsageError
from cryptosense.workbench.experiments import AnyExperiment, catalog, find_experiment
from cryptosense.workbench.results import ExperimentResult, RunResults


def command(results: RunResults) -> str:
    """`cryptosense validate ...` with the run's experiments, profile, target and changed parameters."""
    names = [experiment.name for experiment in results.experiments]
    words = ["cryptosense", "validate"]
    if set(names) != set(catalog()):
        words += names
    if results.profile != "quick":
        words += ["--profile", results.profile]
    for url in results.target.get("urls", ()):
        words += ["--target", str(url)]
    if results.target.get("redis"):
        words += ["--redis-url", str(results.target["redis"])]
    for experiment in results.experiments:
        for name, value in changed(experiment, results.profile).items():
            words += ["-p", f"{experiment.name}.{name}={value}"]
    return shlex.join(words)


def changed(experiment: ExperimentResult, profile: str) -> dict[str, Any]:
    """Those parameters of the run that its profile would not have chosen."""
    known = experiment_named(experiment.name)
    if known is None:
        return {}
    usual = known.parameters(**(known.full if profile == "full" else {})).model_dump(mode="json")
    return {name: value for name, value in experiment.parameters.items() if name in usual and usual[name] != value}


def experiment_named(name: str) -> AnyExperiment | None:
    """The experiment, or None where a run came from an installation that had more of them."""
    try:
        return find_experiment(name)
    except UsageError:
        return None
