"""The report as a reader meets it, in a real browser."""

import json
from pathlib import Path

import pytest
from PIL import Image, ImageStat

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

KINDS = ["holding", "violated", "undecided", "interrupted"]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_opens_silently_and_asks_nobody(visit, written_run, kind: str):
    index = written_run(kind) / "index.html"
    seen = visit(index)
    assert seen.complaints == []
    assert index.as_uri() in seen.requests
    asked = [url for url in seen.requests if url != index.as_uri() and not url.startswith("data:")]
    assert asked == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_says_the_verdict_of_its_results(visit, written_run, kind: str):
    folder = written_run(kind)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    page = visit(folder / "index.html").page
    assert page.locator("#answer").get_attribute("data-verdict") == results["verdict"]
    word = {"HOLDS": "Go", "VIOLATED": "No-go", "UNDECIDED": "Not yet"}[results["verdict"]]
    assert page.locator("h1").inner_text().split(maxsplit=1)[1].startswith(word)


@pytest.mark.parametrize(("kind", "scheme"), [*((kind, "light") for kind in KINDS), ("violated", "dark")])
def test_the_report_passes_an_accessibility_scan(visit, written_run, kind: str, scheme: str):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(written_run(kind) / "index.html", color_scheme=scheme).page
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_the_scan_sees_a_picture_without_words(visit, written_run):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(written_run("holding") / "index.html").page
    page.evaluate("document.querySelector('.chart').removeAttribute('aria-label')")
    assert Axe().run(page).violations_count == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_link_resolves(visit, written_run, kind: str):
    page = visit(written_run(kind) / "index.html").page
    broken = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')]"
        ".filter(link => !document.getElementById(link.getAttribute('href').slice(1))).map(link => link.href)"
    )
    assert broken == []
    for link in page.locator("a:not([href^='#'])").all():
        assert (written_run(kind) / str(link.get_attribute("href"))).is_file()


def test_a_link_into_a_folded_part_unfolds_it(visit, written_run):
    page = visit(written_run("holding") / "index.html").page
    claim = page.locator("#claim-integration-promise-1")
    assert not claim.is_visible()
    page.locator("#checklist a", has_text="promise-1").first.click()
    claim.wait_for(state="visible", timeout=5000)


def test_the_operations_behind_a_claim_unfold_with_the_keyboard(visit, written_run):
    page = visit(written_run("violated") / "index.html").page
    summary = page.locator("#claim-integration-one-token-once details.proof > summary")
    summary.focus()
    page.keyboard.press("Enter")
    assert page.get_by_text("CSRF_TOKEN_INVALID").first.is_visible()


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_never_scrolls_sideways_on_a_phone(visit, written_run, kind: str):
    page = visit(written_run(kind) / "index.html", viewport=PHONE).page
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_dark_is_dark_and_light_is_light_charts_included(visit, written_run, tmp_path: Path):
    brightness = {}
    for scheme in ("light", "dark"):
        page = visit(written_run("violated") / "index.html", color_scheme=scheme).page
        page.screenshot(path=tmp_path / f"{scheme}.png")
        page.locator("figure .chart").first.screenshot(path=tmp_path / f"{scheme}-chart.png")
        for part in ("", "-chart"):
            with Image.open(tmp_path / f"{scheme}{part}.png") as picture:
                brightness[scheme + part] = ImageStat.Stat(picture.convert("L")).mean[0]
    assert brightness["light"] > 200
    assert brightness["light-chart"] > 200
    assert brightness["dark"] < 70
    assert brightness["dark-chart"] < 70


def test_the_answer_stands_on_the_first_screen_of_desk_and_phone(visit, written_run):
    for viewport in (DESK, PHONE):
        page = visit(written_run("violated") / "index.html", viewport=viewport).page
        for part in ("h1", ".why", ".tallies"):
            box = page.locator(part).bounding_box()
            assert box is not None
            assert box["y"] + box["height"] < viewport["height"]


def test_printing_gives_a_clean_document_with_every_claim_on_it(visit, written_run, tmp_path: Path):
    page = visit(written_run("violated") / "index.html", color_scheme="dark").page
    page.pdf(path=tmp_path / "report.pdf", format="A4", prefer_css_page_size=True)
    pdf = (tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert 4 <= pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") + pdf.count(b"/Type /Page/") <= 30
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#claim-integration-promise-1").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("kind", ["holding", "interrupted"])
def test_the_notebook_page_opens_silently_and_asks_nobody(visit, written_run, kind: str):
    path = written_run(kind) / "integration" / "integration.html"
    seen = visit(path)
    assert seen.complaints == []
    assert seen.requests == [path.as_uri()]
    assert not seen.page.get_by_text("notebook.conduct").is_visible()
    seen.page.locator("details.code > summary").first.click()
    assert seen.page.get_by_text("notebook.conduct").is_visible()


def test_the_notebook_page_passes_an_accessibility_scan(visit, written_run):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(written_run("holding") / "integration" / "integration.html").page
    page.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
