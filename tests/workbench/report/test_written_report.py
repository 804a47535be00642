"""What `write_report` leaves in a run's folder, read as its readers would: people, CI, machines."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from cryptosense.errors import UsageError, WorkbenchError
from cryptosense.workbench.plan_lists import CHECKLIST, IMPROVEMENTS
from cryptosense.workbench.report import copy_example, results_schema, write_report
from cryptosense.workbench.report.schema import schema_of_the_models
from cryptosense.workbench.results import RESULTS, VERDICTS, RunResults

KINDS = ["holding", "violated", "undecided", "interrupted"]


class Page(HTMLParser):
    """The ids, links and sources of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name == "href" and tag == "a" and value:
                self.links.append(value)
            if value and (name == "src" or (name == "href" and tag == "link")):
                self.loaded.append(value)

    def handle_data(self, data: str) -> None:
        self.words += data


def page_of(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_loads_nothing_and_stays_small(make_run, kind: str):
    path = write_report(make_run(kind))
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 3_000_000
    assert all(loaded.startswith("data:") for loaded in Page(text).loaded)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


@pytest.mark.parametrize("kind", KINDS)
def test_every_link_of_the_page_leads_somewhere(make_run, kind: str):
    folder = make_run(kind)
    page = page_of(folder)
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids, link
        else:
            assert (folder / link).is_file(), link


@pytest.mark.parametrize("kind", KINDS)
def test_no_id_stands_twice_on_the_page_though_charts_bring_their_own(make_run, kind: str):
    page = page_of(make_run(kind))
    assert len(page.ids) == len(set(page.ids))


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_tells_every_claim_and_every_item_of_the_plan(make_run, kind: str):
    folder = make_run(kind)
    words = page_of(folder).words
    for experiment in RunResults.read(folder / RESULTS).experiments:
        for claim in experiment.claims:
            assert claim.id in words
    for item in [*CHECKLIST, *IMPROVEMENTS]:
        assert item.text in words


def test_the_page_answers_in_the_order_a_stakeholder_asks(make_run):
    ids = page_of(make_run("violated")).ids
    order = ["answer", "against", "before-and-after", "improvements", "checklist", "experiments", "controls"]
    places = [ids.index(name) for name in [*order, "not-proved", "run"]]
    assert places == sorted(places)


def test_the_worst_experiment_and_claim_come_first(make_run):
    ids = page_of(make_run("violated")).ids
    experiments = [name for name in ids if name.startswith("experiment-")]
    assert experiments[0] == "experiment-integration"
    claims = [name for name in ids if name.startswith("claim-integration")]
    assert claims[0] == "claim-integration-one-token-once"


def test_a_violated_claim_shows_the_operations_that_prove_it(make_run):
    folder = make_run("violated")
    text = write_report(folder).read_text(encoding="utf-8")
    told = text[text.index('id="claim-integration-one-token-once"') :]
    told = told[: told.index("</li>")]
    assert "2 operations that prove it" in told
    assert "0.300" in told
    assert "CSRF_TOKEN_INVALID" in told
    assert "tab &lt;0&gt;" in told


def test_what_a_service_answered_cannot_become_markup(make_run):
    folder = make_run("holding")
    path = folder / RESULTS
    path.write_text(path.read_text(encoding="utf-8").replace("none refused", "<script>alert(1)</script>"), "utf-8")
    text = write_report(folder).read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_an_interrupted_run_says_that_it_is_partial(make_run):
    words = page_of(make_run("interrupted")).words
    assert "interrupted, so partial" in words
    assert "It did not come to its end. Interrupted: Ctrl-C." in words


def test_items_that_no_claim_covers_say_that_they_were_not_run(make_run):
    assert page_of(make_run("holding")).words.count("not run in this selection") >= 5


def test_the_before_and_after_table_sets_memory_beside_redis(make_run):
    text = write_report(make_run("holding")).read_text(encoding="utf-8")
    table = text[text.index('id="before-and-after"') : text.index('id="improvements"')]
    assert "66.7 % of posts refused" in table
    assert "5.8 calls/min" in table
    assert "1.94 calls/min" in table


def test_a_report_of_a_run_without_histories_and_pictures_still_stands(make_run):
    folder = make_run("violated")
    for path in [*folder.rglob("history.jsonl.gz"), *folder.rglob("*.svg"), *folder.rglob("*.ipynb")]:
        path.unlink()
    words = page_of(folder).words
    assert "Proved by operations 3, 4" in words
    assert "is missing from the run’s folder" in words
    assert "There is no executed notebook." in words


def test_a_torn_history_costs_evidence_and_not_the_report(make_run):
    folder = make_run("violated")
    history = folder / "integration" / "history.jsonl.gz"
    history.write_bytes(history.read_bytes()[:60])
    assert "Proved by operations 3, 4" in page_of(folder).words


def test_a_folder_without_results_has_no_report(tmp_path: Path):
    with pytest.raises(WorkbenchError, match=r"results\.json"):
        write_report(tmp_path)


def test_pictures_beyond_the_room_are_linked_and_headlines_stay(make_run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cryptosense.workbench.report.page._ROOM_FOR_PICTURES", 60_000)
    text = write_report(make_run("holding")).read_text(encoding="utf-8")
    assert "Open the picture" in text
    assert "<svg" in text


def test_the_notebook_page_folds_its_code_and_loads_nothing(make_run):
    folder = make_run("holding")
    write_report(folder)
    text = (folder / "integration" / "integration.html").read_text(encoding="utf-8")
    page = Page(text)
    assert '<details class="code">' in text
    assert "notebook.conduct" in page.words
    assert "<td>HOLDS</td>" in text
    assert "phase: round robin" in page.words
    assert page.loaded == []
    assert "../index.html" in page.links


@pytest.mark.parametrize("kind", KINDS)
def test_results_follow_the_published_schema(make_run, kind: str):
    results = json.loads((make_run(kind) / RESULTS).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(results_schema()).validate(results)


def test_the_schema_refuses_an_unknown_verdict_and_a_missing_field(make_run):
    results = json.loads((make_run("holding") / RESULTS).read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(results_schema())
    assert not validator.is_valid(results | {"verdict": "PASSED"})
    assert not validator.is_valid({name: value for name, value in results.items() if name != "experiments"})


def test_the_published_schema_is_the_one_that_the_code_writes():
    assert results_schema() == schema_of_the_models()


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        ("holding", {"tests": "32", "failures": "0", "errors": "0", "skipped": "1"}),
        ("violated", {"tests": "32", "failures": "1", "errors": "0", "skipped": "1"}),
        ("undecided", {"tests": "32", "failures": "0", "errors": "1", "skipped": "1"}),
        ("interrupted", {"tests": "33", "failures": "0", "errors": "2", "skipped": "1"}),
    ],
)
def test_junit_shows_ci_each_claim(make_run, kind: str, counts: dict[str, str]):
    folder = make_run(kind)
    write_report(folder)
    root = ET.parse(folder / "junit.xml").getroot()
    assert {name: root.get(name) for name in counts} == counts
    assert [suite.get("name") for suite in root] == ["before_after", "integration", "failover"]


def test_junit_tells_why_a_claim_failed_and_which_operations_prove_it(make_run):
    folder = make_run("violated")
    write_report(folder)
    failure = ET.parse(folder / "junit.xml").getroot().find(".//failure")
    assert failure is not None
    assert "compare and rotate are two steps" in (failure.get("message") or "")
    assert "evidence: operations 3, 4" in (failure.text or "")


def test_characters_that_xml_cannot_hold_do_not_break_junit(make_run):
    folder = make_run("holding")
    path = folder / RESULTS
    path.write_text(path.read_text(encoding="utf-8").replace("none refused", "none\\u0000\\u001b refused"), "utf-8")
    write_report(folder)
    ET.parse(folder / "junit.xml")


@pytest.mark.parametrize(
    ("kind", "mark"), [("holding", "✅ Go, as far as tested"), ("violated", "❌ No-go"), ("undecided", "❔ Not yet")]
)
def test_the_summary_begins_with_the_answer(make_run, kind: str, mark: str):
    folder = make_run(kind)
    write_report(folder)
    text = (folder / "summary.md").read_text(encoding="utf-8")
    assert text.startswith(f"## {mark}")
    assert "| `before_after` |" in text


def test_tables_of_the_summary_have_as_many_cells_in_each_row(make_run):
    folder = make_run("violated")
    path = folder / RESULTS
    path.write_text(path.read_text(encoding="utf-8").replace("none refused", "none | refused"), "utf-8")
    write_report(folder)
    widths: list[int] = []
    for line in (folder / "summary.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            widths.append(len(re.findall(r"(?<!\\)\|", line)))
        else:
            assert len(set(widths)) <= 1
            widths = []


def test_an_example_is_small_whole_and_free_of_this_machines_paths(make_run, tmp_path: Path):
    run = make_run("violated")
    results = run / RESULTS
    results.write_text(results.read_text(encoding="utf-8").replace("none refused", f"see {run}/log"), "utf-8")
    write_report(run)
    target = copy_example(run, tmp_path / "example")
    assert not list(target.rglob("*.gz"))
    assert not list(target.rglob("*.ipynb"))
    for path in target.rglob("*.*"):
        assert str(tmp_path) not in path.read_text(encoding="utf-8")
    page = Page((target / "index.html").read_text(encoding="utf-8"))
    for link in page.links:
        assert link.startswith("#") or (target / link).is_file(), link
    assert "CSRF_TOKEN_INVALID" in page.words
    assert "cryptosense validate before_after integration failover" in (target / "README.md").read_text(
        encoding="utf-8"
    )


def test_an_example_replaces_an_earlier_one_and_nothing_else(make_run, tmp_path: Path):
    run = make_run("holding")
    with pytest.raises(UsageError, match="no report to copy"):
        copy_example(run, tmp_path / "example")
    write_report(run)
    copy_example(run, tmp_path / "example")
    copy_example(run, tmp_path / "example")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UsageError, match="something else than a run"):
        copy_example(run, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_what_only_cost_a_picture_is_told_and_stands_against_nothing(make_run):
    folder = make_run("holding")
    document = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    document["experiments"][1]["reason"] = "the charts could not be drawn: ValueError: no data"
    (folder / RESULTS).write_text(json.dumps(document), encoding="utf-8")
    page = page_of(folder)
    assert "The charts could not be drawn" in page.words
    assert "did not come to its end" not in page.words
    assert "against" not in page.ids
    assert ET.parse(folder / "junit.xml").getroot().get("errors") == "0"


def test_the_command_that_keeps_an_example_says_what_it_did_or_why_not(make_run, tmp_path: Path):
    run = make_run("holding")
    command = [sys.executable, "-m", "cryptosense.workbench.report", str(run), str(tmp_path / "example")]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    write_report(run)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert (tmp_path / "example" / "index.html").is_file()
    assert sorted(path.name for path in (tmp_path / "example").rglob("*.svg")) == [
        "felt.svg",
        "promises.svg",
        "refused_posts.svg",
    ]


BENCH = {
    "schema": "cryptosense.bench/1",
    "rows": [
        {
            "id": "limiter",
            "item": "limiter decision, 64 tasks",
            "unit": "× EVALSHA",
            "entries": [
                {"name": "limits", "figure": {"median": 1.34, "low": 1.29, "high": 1.4}, "exactness": "exact"},
                {"name": "cryptosense", "figure": {"median": 0.41, "low": 0.4, "high": 0.43}, "exactness": "exact"},
            ],
            "goal": {"figure": 0.45, "better": "lower"},
            "note": "",
            "reached": True,
        }
    ],
}
CONTROLS = {
    "schema": "cryptosense.controls/1",
    "controls": [
        {
            "control": name,
            "contract": "CSRF-2",
            "flaw": "GET, then SET",
            "experiment": "integration",
            "caught": caught,
            "sentence": "20 of 20 accepted",
        }
        for name, caught in (("csrf-two-steps", True), ("csrf-silent", False))
    ],
}


def test_a_benchmark_put_into_the_runs_folder_is_shown_with_its_goals(make_run):
    folder = make_run("holding")
    (folder / "bench").mkdir()
    (folder / "bench" / "bench.json").write_text(json.dumps(BENCH), encoding="utf-8")
    (folder / "bench" / "bench.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
    page = page_of(folder)
    assert "1 of 1 goals were reached" in page.words
    assert page.words.index("0.41") < page.words.index("1.34")
    assert any(loaded.startswith("data:image/svg") for loaded in page.loaded)


def test_a_matrix_of_controls_put_into_the_runs_folder_shows_missed_ones_first(make_run):
    folder = make_run("holding")
    (folder / "controls").mkdir()
    (folder / "controls" / "controls.json").write_text(json.dumps(CONTROLS), encoding="utf-8")
    words = page_of(folder).words
    assert "1 of 2 caught" in words
    assert words.index("csrf-silent") < words.index("csrf-two-steps")


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "other"}', '{"schema": "cryptosense.bench/1", "rows": [{}]}'])
def test_a_foreign_document_in_the_bench_folder_is_left_out(make_run, text: str):
    folder = make_run("holding")
    (folder / "bench").mkdir()
    (folder / "bench" / "bench.json").write_text(text, encoding="utf-8")
    assert "Speed, beside" not in page_of(folder).words


def test_writing_again_gives_the_same_letters(make_run):
    folder = make_run("violated")
    first = write_report(folder).read_text(encoding="utf-8")
    assert write_report(folder).read_text(encoding="utf-8") == first
    assert (folder / "integration" / VERDICTS).is_file()
