"""A small copy of a run that can be kept in a repository."""

import re
import shutil
from pathlib import Path

from cryptosense.errors import UsageError, WorkbenchError
from cryptosense.workbench.report.reproduce import command
from cryptosense.workbench.report.wording import moment
from cryptosense.workbench.report.write import INDEX, JUNIT, SUMMARY
from cryptosense.workbench.results import RESULTS, VERDICTS, ExperimentVerdicts, RunResults

_LINK = re.compile(r'<a [^>]*href="(?P<file>[^"#:]+)"[^>]*>(?P<text>.*?)</a>', re.DOTALL)


def copy_example(run: Path, target: Path) -> Path:
    """Copies page, results, verdicts, pictures and notebook pages of a run; histories, logs and data stay behind.

    Links to what stays behind are taken off the page, and paths of the machine that ran it are replaced. What an
    earlier copy left in `target` goes. A `README.md` says what it is and which command made it. Returns `target`.

    Raises:
        UsageError: the run has no report, or `target` holds something that is no copy of a run.
    """
    run = run.resolve()
    if not (run / INDEX).is_file():
        raise UsageError(f"{run} has no report to copy; write it first with `cryptosense report {run.name}`")
    if target.exists() and any(target.iterdir()) and not (target / RESULTS).is_file():
        raise UsageError(f"{target} holds something else than a run; nothing was copied")
    results = RunResults.read(run / RESULTS)
    shutil.rmtree(target, ignore_errors=True)
    for file in _files(run, results):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        text = _without_paths((run / file).read_text(encoding="utf-8"), run)
        (target / file).write_text(text, encoding="utf-8")
    for page in target.rglob("*.html"):
        page.write_text(_without_dead_links(page.read_text(encoding="utf-8"), page.parent), encoding="utf-8")
    (target / "README.md").write_text(
        _readme(results, (target / SUMMARY).read_text(encoding="utf-8")), encoding="utf-8"
    )
    return target


def _files(run: Path, results: RunResults) -> list[str]:
    wanted = [INDEX, SUMMARY, JUNIT, RESULTS]
    for experiment in results.experiments:
        wanted += [experiment.report, f"{experiment.name}/{VERDICTS}"]
        wanted += _pictures(run, experiment.name)
    return [file for file in wanted if (run / file).is_file()]


def _pictures(run: Path, experiment: str) -> list[str]:
    """The experiment's headline picture, and those that the page only links; all others stand in the page itself."""
    try:
        charts = ExperimentVerdicts.read(run / experiment / VERDICTS).charts
    except WorkbenchError:
        return []
    page = (run / INDEX).read_text(encoding="utf-8")
    files = [f"{experiment}/{chart.file}" for chart in charts]
    return files[:1] + [file for file in files[1:] if f'href="{file}"' in page]


def _without_paths(text: str, run: Path) -> str:
    """The text with this machine's folders named as a reader elsewhere would: the run's, the checkout's, the home."""
    for folder, name in ((run, f"reports/{run.name}"), (Path.cwd(), "."), (Path.home(), "~")):
        if folder != Path(folder.anchor):
            text = text.replace(str(folder), name)
    return text


def _without_dead_links(text: str, folder: Path) -> str:
    return _LINK.sub(lambda link: link[0] if (folder / link["file"]).exists() else link["text"], text)


def _readme(results: RunResults, summary: str) -> str:
    return (
        f"# A real report\n\nMade on {moment(results.started_at)} by\n\n    {command(results)}\n\n"
        f"Open [{INDEX}]({INDEX}) in a browser for the whole of it; histories and logs were left out of this copy.\n\n"
        f"{summary}"
    )
