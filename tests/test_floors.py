"""The architecture holds: imports only go down the floors, and never in circles."""

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent


def test_imports_only_go_down_the_floors():
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_module_imports_in_circles_not_even_late_or_for_its_types_only():
    assert circle_in("cryptosense") == []


def test_a_circle_would_be_found_wherever_its_imports_stand(tmp_path, monkeypatch):
    package = tmp_path / "roundabout"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "first": "def late():\n    from roundabout import second\n    return second\n",
        "second": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from roundabout import third\n",
        "third": "import roundabout.first\n",
        "outside": "import roundabout.third\n",
    }.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert set(circle_in("roundabout")) == {"roundabout.first", "roundabout.second", "roundabout.third"}


def circle_in(package: str) -> list[str]:
    """One chain of modules that comes back to its first; empty where there is none."""
    graph = grimp.build_graph(package, cache_dir=None)
    try:
        TopologicalSorter(
            {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
        ).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []
