"""`/docs` of the reference service in a real browser: it shows every route, and nobody else is asked for anything."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service in memory."""
    folder: Path = tmp_path_factory.mktemp("service")
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": f"sqlite:///{folder / 'service.db'}", "LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "cryptosense.http", "--port", "0"]
    with (folder / "service.log").open("wb") as log:
        service = subprocess.Popen(command, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            said = service.stdout.readline()
            assert said.startswith("ready "), (folder / "service.log").read_text()
            yield said.split()[1]
        finally:
            service.terminate()
            service.communicate(timeout=30)


def test_every_route_is_shown_and_no_other_host_is_asked(visit, address: str):
    seen = visit(f"{address}/docs")
    seen.page.locator(".opblock").first.wait_for(timeout=30_000)
    paths = httpx.get(f"{address}/openapi.json").json()["paths"]
    assert seen.page.locator(".opblock").count() == sum(len(operations) for operations in paths.values())
    assert seen.complaints == []
    asked = {url.removeprefix(address) for url in seen.requests if not url.startswith("data:")}
    assert asked == {"/docs", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/openapi.json"}


def test_a_request_can_be_tried_from_the_page(visit, address: str):
    page = visit(f"{address}/docs").page
    alive = page.locator(".opblock", has_text="/livez")
    alive.click()
    alive.get_by_role("button", name="Try it out").click()
    alive.get_by_role("button", name="Execute").click()
    answer = alive.locator(".live-responses-table")
    answer.wait_for(timeout=30_000)
    assert '"alive"' in answer.inner_text()
