"""Bad input: a 4xx with a code, nothing stored, no stack trace."""

import json

import pytest

JSON = {"Content-Type": "application/json"}
HUGE = "x" * 1_000_000


async def test_a_declared_body_that_is_too_large_is_413(service):
    answer = await service.http.post("/api/v1/auth/login", content=b"x" * 65_537, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert "X-RateLimit-Limit" not in answer.headers  # the first of the guards


async def test_an_undeclared_body_that_is_too_large_is_413_once_it_is(service):
    browser = await service.sign_in()
    sent = 0

    async def pieces():
        nonlocal sent
        for _ in range(1_000):
            sent += 1_024
            yield b" " * 1_024

    token = await browser.fetch_csrf()
    answer = await browser.post("/api/v1/portfolios", content=pieces(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert answer.headers["X-CSRF-Token"] != token
    assert sent < 200_000
    refresh = await service.http.post("/api/v1/auth/refresh", content=pieces(), headers=JSON)
    assert (refresh.status_code, refresh.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_length_that_is_no_number_is_refused(service):
    answer = await service.http.post("/api/v1/auth/login", headers={"Content-Length": "1e3", **JSON}, content=b"")
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")


@pytest.mark.parametrize("name", ["Authorization", "X-CSRF-Token", "Origin", "Sec-Fetch-Site", "Content-Type"])
async def test_a_header_that_decides_something_must_not_stand_twice(service, name):
    headers = [(name, "one"), (name, "two")]
    answer = await service.http.post("/api/v1/portfolios", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")
    assert name.lower() in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"name": "x"}',
        b'{"name": "x", "holdings": [], "extra": 1}',
        b'{"name": "", "holdings": []}',
        b'{"name": "\\u0000", "holdings": []}',
        b'{"name": "a\\nb", "holdings": []}',
        b'{"name": "\\ud800", "holdings": []}',
        b'{"name": "x", "holdings": [{"coin": "a", "quantity": NaN}]}',
        b'{"name": "x", "holdings": [{"coin": "a", "quantity": Infinity}]}',
        b'{"name": "x", "holdings": [{"coin": "a", "quantity": "NaN"}]}',
        b'{"name": "x", "holdings": [{"coin": "a", "quantity": 1e999999}]}',
        b'{"name": "x", "holdings": [{"coin": "a", "quantity": "1e999999999999"}]}',
        b'{"name": "x", "holdings": [{"coin": "a", "quantity": ' + b"9" * 5_000 + b"}]}",
        b'{"name": "x", "holdings": [{"coin": "a", "quantity": -1}]}',
        b'{"name": "x", "holdings": [{"coin": "a", "quantity": true}]}',
        b'{"name": "x", "holdings": [{"coin": "a b", "quantity": 1}]}',
        b'{"name": "x", "holdings": [{"coin": "*", "quantity": 1}]}',
        b'{"name": "x", "holdings": [{"coin": "a\\r\\nDEL x", "quantity": 1}]}',
        b'{"name": "' + b"x" * 5_000 + b'", "holdings": []}',
        b"[" * 60_000,
    ],
)
async def test_a_malformed_portfolio_is_422_and_not_stored(service, body):
    browser = await service.sign_in()
    answer = await browser.post("/api/v1/portfolios", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED"), answer.text
    assert (await browser.get("/api/v1/portfolios")).json() == {"portfolios": []}


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_what_is_not_declared_as_json_is_422(service, kind):
    body = json.dumps({"email": "ada@example.org", "password": "correct horse battery"})
    headers = {"Content-Type": kind} if kind else {}
    answer = await service.http.post("/api/v1/auth/register", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "a@b",
        "a b@c.de",
        "a@b.de\r\nX: y",
        "a\x00@b.de",
        "x" * 300 + "@b.de",
        "a@b.de\u202e",
        "*@*",
        "{a}@b.c d",
    ],
)
async def test_a_user_name_that_is_none_is_422(service, email):
    body = {"email": email, "password": "correct horse battery"}
    answer = await service.http.post("/api/v1/auth/register", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")
    assert "correct horse" not in answer.text


async def test_a_refused_password_is_not_repeated(service):
    for password in ("short5!", "p" * 2_000):
        answer = await service.http.post("/api/v1/auth/register", json={"email": "a@b.co", "password": password})
        assert answer.status_code == 422
        assert password not in answer.text


@pytest.mark.parametrize(
    "ids",
    [
        "",
        ",",
        "*",
        "bit*coin",
        "a b",
        "a\x00b",
        "a\nb",
        "../coins",
        "..",
        "a/b",
        "{x}",
        "\u00e9",
        "a" * 101,
        ",".join(f"c{n}" for n in range(251)),
        "a," * 10_001,
    ],
)
async def test_ids_that_are_none_are_422_and_reach_nobody(service, ids):
    answer = await service.http.get("/api/v1/tokens", params={"ids": ids})
    assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")
    assert service.provider.calls == 0


@pytest.mark.parametrize("coin", ["*", "%00", "a%0ab", "..%2e", "%F0%9F%92%A9", "a" * 300, "%ff"])
async def test_coins_that_are_none_are_refused_on_every_route(service, coin):
    for path in (f"/api/v1/predictions/{coin}", f"/api/v1/risk/{coin}"):
        answer = await service.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (422, "VALIDATION_FAILED")
    assert service.provider.calls == 0


@pytest.mark.parametrize("portfolio", ["*", "%00", "a%0ab", "x" * 5_000, "..%2f..", "%ff"])
async def test_portfolio_ids_that_are_none_are_not_found_or_malformed(service, portfolio):
    browser = await service.sign_in()
    answer = await browser.get(f"/api/v1/portfolios/{portfolio}")
    assert answer.status_code in {404, 422}
    assert answer.json()["code"] in {"NOT_FOUND", "VALIDATION_FAILED"}


async def test_a_missing_list_is_422(service):
    answer = await service.http.get("/api/v1/tokens")
    assert answer.status_code == 422
    assert answer.json() == {"error": "the query names no ids", "code": "VALIDATION_FAILED"}


async def test_unknown_paths_and_methods_have_codes(service):
    missing = await service.http.get("/api/v1/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "NOT_FOUND")
    wrong = await service.http.put("/api/v1/tokens")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert wrong.headers["Allow"] == "GET"


async def test_a_request_id_is_taken_over_only_when_it_is_well_formed(service):
    given = await service.http.get("/livez", headers={"X-Request-ID": "trace-1.a"})
    assert given.headers["X-Request-ID"] == "trace-1.a"
    for odd in ("a b", "x" * 65, "{}", HUGE):
        answer = await service.http.get("/livez", headers={"X-Request-ID": odd})
        assert len(answer.headers["X-Request-ID"]) == 16
