"""`/docs`: Swagger UI from this machine's own files. How a browser shows it: tests/browser/test_docs_in_chromium.py."""

import re


async def test_the_page_names_no_other_host_and_all_that_it_names_is_there(service):
    page = await service.http.get("/docs")
    assert page.status_code == 200
    assert "//" not in re.sub(r"<!--.*?-->", "", page.text, flags=re.DOTALL)
    named = re.findall(r"""(?:src=|href=|url: )["']([^"']+)["']""", page.text)
    assert named == ["docs/swagger-ui.css", "data:,", "docs/swagger-ui-bundle.js", "openapi.json"]
    types = {"css": "text/css", "js": "text/javascript", "json": "application/json"}
    for address in named:
        if not address.startswith("data:"):
            answer = await service.http.get(f"/{address}")
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].split(";")[0] == types[address.rpartition(".")[2]]
            assert len(answer.content) > 1_000


async def test_only_the_two_files_are_served_beside_the_page(service):
    for name in ("redoc.standalone.js", "favicon.png", "..%2Fcore.py", "..%2F..%2Fcryptosense%2Fcli.py", ""):
        answer = await service.http.get(f"/docs/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), name


async def test_a_browser_is_told_to_ask_no_other_host(service):
    policy = (await service.http.get("/docs")).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    sources = {source for directive in policy.split(";") for source in directive.split()[1:]}
    assert sources == {"'self'", "'unsafe-inline'", "data:"}


async def test_the_documents_are_no_part_of_the_document(service):
    paths = (await service.http.get("/openapi.json")).json()["paths"]
    assert not [path for path in paths if path.startswith("/docs")]
