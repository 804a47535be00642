"""Gives the tests beside it the runs that `sample_runs.py` makes; pytest's importlib mode has no sibling imports."""

import importlib.util
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def sample_runs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sample_runs", Path(__file__).with_name("sample_runs.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made_runs(sample_runs: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Draws each kind of run once."""
    return cache(lambda kind: sample_runs.make_run(tmp_path_factory.mktemp("made") / kind, kind))


@pytest.fixture
def make_run(made_runs: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """`make_run("violated")` gives the folder of such a run of the test's own, without a report."""
    return lambda kind: Path(shutil.copytree(made_runs(kind), tmp_path / kind))
