"""Writes the whole report of a run's folder."""

from pathlib import Path

from cryptosense.workbench.report.answer import answer
from cryptosense.workbench.report.junit import junit
from cryptosense.workbench.report.notebook_html import write_notebook_html
from cryptosense.workbench.report.page import render_page
from cryptosense.workbench.report.plan import answer_plan
from cryptosense.workbench.report.summary import summary
from cryptosense.workbench.results import RESULTS, RunResults

INDEX = "index.html"
SUMMARY = "summary.md"
JUNIT = "junit.xml"


def write_report(folder: Path) -> Path:
    """Writes `index.html`, `summary.md`, `junit.xml` and each notebook's HTML into the run's folder.

    Works on whatever the folder holds: a partial, interrupted or failed run gives a report that says so. Returns the
    path of `index.html`.

    Raises:
        WorkbenchError: the folder has no readable `results.json`.
    """
    results = RunResults.read(folder / RESULTS)
    plan = answer_plan(results)
    told = answer(results, plan)
    for experiment in results.experiments:
        write_notebook_html(
            folder / experiment.notebook, folder / experiment.report, title=f"{experiment.name}, {results.run_id}"
        )
    page = folder / INDEX
    page.write_text(render_page(folder, results, told, plan), encoding="utf-8")
    (folder / SUMMARY).write_text(summary(results, told, plan), encoding="utf-8")
    (folder / JUNIT).write_text(junit(results), encoding="utf-8")
    return page
