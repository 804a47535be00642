"""The committed notebooks tell the same story as the experiments that they call."""

import ast
import json
import re
from pathlib import Path

import nbformat
import papermill
import pytest

from cryptosense.workbench.claims.claim import judge
from cryptosense.workbench.experiments import catalog
from cryptosense.workbench.history import History
from cryptosense.workbench.results import ClaimResult
from cryptosense.workbench.run.library import notebook_of, notebooks_folder
from cryptosense.workbench.run.parameters import choose, describe
from cryptosense.workbench.verdict_table import outcome_lines
from cryptosense.workbench.verdicts import Verdict

NAMES = list(catalog())


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(notebook_of(catalog()[name]), as_version=4)


def code_of(name: str) -> list[str]:
    return [cell.source for cell in read(name).cells if cell.cell_type == "code"]


def test_every_experiment_has_a_notebook_and_every_notebook_an_experiment():
    assert {path.stem for path in notebooks_folder().glob("*.ipynb")} == set(NAMES)


def test_the_start_page_leads_to_every_notebook_in_order_and_says_what_it_asks():
    page = (notebooks_folder() / "start.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\w+)\.ipynb\)", page) == NAMES
    for experiment in catalog().values():
        assert experiment.doubt.question in page


@pytest.mark.parametrize("name", NAMES)
def test_papermill_sees_every_parameter_with_its_type_default_and_description(name: str):
    experiment = catalog()[name]
    seen = papermill.inspect_notebook(str(notebook_of(experiment)))
    expected = {parameter: (default, text) for parameter, _, default, text in describe(experiment)}
    assert set(seen) == set(expected)
    for parameter, (default, text) in expected.items():
        assert ast.literal_eval(seen[parameter]["default"]) == default, parameter
        assert seen[parameter]["help"].startswith(" ".join(text.split()).replace("#", "no. ")), parameter
        assert seen[parameter]["inferred_type_name"] not in {"None", "Any"}, parameter


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_passes_its_defaults_as_they_are_to_its_own_experiment(name: str):
    source = "\n".join(code_of(name)[1:3])
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    (call,) = (one for one in calls if ast.unparse(one.func) == "notebook.conduct")
    assert ast.literal_eval(call.args[0]) == name
    passed = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    assert passed == {parameter: parameter for parameter, *_ in describe(catalog()[name])}
    namespace: dict[str, object] = {}
    exec(code_of(name)[1], namespace)
    given = {parameter: namespace[parameter] for parameter in passed}
    assert choose(catalog()[name], given) == choose(catalog()[name], {})


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_asks_the_experiments_question_and_says_what_would_change_our_mind(name: str):
    told = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
    doubt = catalog()[name].doubt
    for sentence in (doubt.question, doubt.method, doubt.changes_our_mind):
        assert sentence in told


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_defines_nothing_loops_over_nothing_and_names_no_path(name: str):
    for source in code_of(name):
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda)
            assert not isinstance(node, ast.For | ast.While | ast.ListComp | ast.DictComp | ast.GeneratorExp)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.search(r"^[./~]|[\\]|\w/\w+/", node.value), node.value


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_committed_without_pictures_and_with_its_deterministic_verdicts(name: str):
    notebook = read(name)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        checked = "nbval-check-output" in cell.metadata.get("tags", [])
        assert bool(cell.outputs) == checked, cell.source
        assert cell.source == "run.outcome()" or not checked
        assert "image" not in json.dumps(cell.outputs)


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_verdicts_are_those_of_todays_claims_when_all_come_out_as_expected(name: str):
    experiment, nothing = catalog()[name], History(started_at=0.0, events=())
    judged = [ClaimResult.of(judge(claim, nothing)) for claim in experiment.claims(choose(experiment, {}))]
    hoped = [one.model_copy(update={"verdict": Verdict.VIOLATED if one.control else Verdict.HOLDS}) for one in judged]
    (cell,) = (cell for cell in read(name).cells if cell.source == "run.outcome()")
    assert cell.outputs[0].data["text/plain"] == repr(outcome_lines(name, Verdict.HOLDS, hoped))


def test_the_notebooks_of_an_installed_wheel_are_found_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "cryptosense"
    (package / "_notebooks").mkdir(parents=True)

    class Spec:
        submodule_search_locations = (str(package),)

    monkeypatch.setattr("cryptosense.workbench.run.library.find_spec", lambda _: Spec)
    assert notebooks_folder() == package / "_notebooks"
