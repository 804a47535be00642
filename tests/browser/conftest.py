"""A real Chromium for the tests beside it, pages opened in it, and the sample runs of the report's own tests."""

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

_SAMPLES = Path(__file__).parents[1] / "workbench" / "report" / "sample_runs.py"
_DESK = {"width": 1280, "height": 900}
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """A headless browser for one file; skips where there is none.

    Playwright's event loop counts as running until it is stopped, and no asyncio test of the same worker could run.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("not installed: chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        pytest.skip("not installed: playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        yield browser
        browser.close()


class Visit:
    """One page opened in a context of its own, with everything that it asked for or complained about."""

    def __init__(self, browser, url: str, **context) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)


@pytest.fixture
def visit(chromium) -> Iterator[Callable[..., Visit]]:
    """`visit(path_or_url)` opens a page on a desk's screen, or as the browser context's options say."""
    opened: list[Visit] = []

    def open_page(at: Path | str, **context) -> Visit:
        url = at.as_uri() if isinstance(at, Path) else at
        opened.append(Visit(chromium, url, **{"viewport": _DESK, **context}))
        return opened[-1]

    yield open_page
    for one in opened:
        one.context.close()


@pytest.fixture(scope="session")
def written_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`written_run("violated")` gives the folder of such a run with its report, made once."""
    from cryptosense.workbench.report import write_report

    spec = importlib.util.spec_from_file_location("sample_runs", _SAMPLES)
    assert spec is not None
    assert spec.loader is not None
    samples = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(samples)

    @cache
    def written(kind: str) -> Path:
        folder = samples.make_run(tmp_path_factory.mktemp("runs") / kind, kind)
        write_report(folder)
        return folder

    return written
