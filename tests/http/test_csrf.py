"""CSRF over HTTP: what passes, what the answer delivers, and what is never said."""

import asyncio
import re

import pytest

FOREIGN = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}


async def new_portfolio(browser, **options):
    return await browser.post("/api/v1/portfolios", json={"name": "Savings", "holdings": []}, **options)


async def test_csrf_1_a_client_that_follows_the_header_never_asks_for_another_token(service):
    browser = await service.sign_in()
    await browser.fetch_csrf()
    tokens = [browser.csrf]
    for _ in range(10):
        answer = await new_portfolio(browser)
        assert answer.status_code == 201
        tokens.append(browser.csrf)
    assert len(set(tokens)) == 11
    assert all(re.fullmatch("[0-9a-f]{64}", token) for token in tokens)


async def test_csrf_2_without_grace_one_of_many_concurrent_posts_is_accepted(opened):
    async with opened({"CSRF_GRACE_S": "0"}) as service:
        browser = await service.sign_in()
        token = await browser.fetch_csrf()
        answers = await asyncio.gather(*(new_portfolio(browser, csrf=token) for _ in range(20)))
        assert sorted(answer.status_code for answer in answers) == [201] + [403] * 19


async def test_csrf_3_two_sessions_of_a_user_do_not_lock_each_other_out(service):
    first = await service.sign_in()
    signed = await service.http.post(
        "/api/v1/auth/login", json={"email": first.email, "password": "correct horse battery"}
    )
    second = type(first)(service.http, first.email, signed.json())
    for _ in range(5):
        assert (await new_portfolio(first)).status_code == 201
        assert (await new_portfolio(second)).status_code == 201


async def test_csrf_3_parallel_requests_with_one_token_converge_within_the_grace(service):
    browser = await service.sign_in()
    token = await browser.fetch_csrf()
    answers = await asyncio.gather(*(new_portfolio(browser, csrf=token) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    current = (await browser.get("/api/v1/csrf-token")).json()["csrfToken"]
    assert answers[-1].headers["X-CSRF-Token"] == current


async def test_csrf_3_the_grace_ends(service):
    browser = await service.sign_in()
    token = await browser.fetch_csrf()
    await new_portfolio(browser)
    service.clock.advance(5.1)
    assert (await new_portfolio(browser, csrf=token)).json()["code"] == "CSRF_TOKEN_INVALID"


async def test_csrf_3_an_explicit_rotation_ends_the_grace_at_once(service):
    browser = await service.sign_in()
    token = await browser.fetch_csrf()
    answer = await browser.post("/api/v1/csrf-token/rotate")
    assert answer.status_code == 200
    assert answer.json()["csrfToken"] == answer.headers["X-CSRF-Token"] != token
    assert answer.headers.get_list("X-CSRF-Token") == [answer.json()["csrfToken"]]
    assert (await new_portfolio(browser, csrf=token)).status_code == 403
    assert (await new_portfolio(browser, csrf=answer.json()["csrfToken"])).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/portfolios", b"{", 422),
        ("POST", "/api/v1/portfolios", b'{"name": 1}', 422),
        ("DELETE", "/api/v1/portfolios/0123", b"", 404),
        ("PUT", "/api/v1/portfolios/0123", b'{"name": "x", "holdings": []}', 404),
    ],
)
async def test_csrf_4_a_refusal_after_the_guard_delivers_the_successor(service, method, path, body, status):
    browser = await service.sign_in()
    token = await browser.fetch_csrf()
    answer = await browser.send(method, path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["X-CSRF-Token"] != token
    service.clock.advance(60)  # no grace helps now
    assert (await new_portfolio(browser)).status_code == 201


async def test_csrf_4_an_error_that_nobody_expected_delivers_the_successor(opened):
    class Broken:
        async def create(self, *_):
            raise ZeroDivisionError("secret details")

        invalidation_failures = 0

    async with opened(portfolios=lambda _: Broken()) as service:
        browser = await service.sign_in()
        token = await browser.fetch_csrf()
        answer = await new_portfolio(browser)
        assert answer.status_code == 500
        assert answer.json()["code"] == "INTERNAL_ERROR"
        assert "secret" not in answer.text
        assert answer.headers["X-CSRF-Token"] != token


async def test_csrf_4_what_does_not_pass_the_guard_leaves_the_token_alone(opened):
    async with opened({"RATE_LIMIT_STRICT_MAX": "1", "CSRF_GRACE_S": "0"}) as service:
        browser = await service.sign_in()
        token = await browser.fetch_csrf()
        assert (await browser.post("/api/v1/tokens/invalidate")).status_code == 200
        after = browser.csrf
        limited = await browser.post("/api/v1/tokens/invalidate")
        assert limited.status_code == 429
        assert "X-CSRF-Token" not in limited.headers
        refused = await new_portfolio(browser, headers=FOREIGN)
        assert refused.status_code == 403
        assert "X-CSRF-Token" not in refused.headers
        assert (await browser.get("/api/v1/csrf-token")).json()["csrfToken"] == after != token


async def test_csrf_missing_and_invalid_are_told_apart(service):
    browser = await service.sign_in()
    missing = await service.http.post("/api/v1/portfolios", headers=browser.bearer, json={"name": "x", "holdings": []})
    assert (missing.status_code, missing.json()["code"]) == (403, "CSRF_TOKEN_MISSING")
    for wrong in ("0" * 64, "x", "0" * 1_000_000, "\u00e9" * 64):
        answer = await new_portfolio(browser, csrf=wrong.encode("latin-1"))
        assert (answer.status_code, answer.json()["code"]) == (403, "CSRF_TOKEN_INVALID")
        assert "X-CSRF-Token" not in answer.headers


async def test_csrf_6_exemption_belongs_to_the_route_and_not_to_its_spelling(service):
    body = {"email": "nobody@example.org", "password": "wrong password"}
    assert (await service.http.post("/api/v1/auth/login", json=body)).json()["code"] == "UNAUTHORIZED"
    for path in ("/api/v1/auth/login/", "/API/v1/auth/login", "/api/v1/auth/LOGIN", "//api/v1/auth/login"):
        answer = await service.http.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


async def test_csrf_6_every_route_that_changes_something_and_needs_a_session_asks_for_the_token(service):
    guarded = [route for route in service.parts_routes() if route.rule.session]
    assert guarded
    for route in guarded:
        changes = bool(route.methods - {"GET", "HEAD"})
        assert route.rule.csrf is changes, route.path


async def test_csrf_7_asking_again_gives_the_same_token_and_counts_against_the_limit(opened):
    async with opened({"RATE_LIMIT_API_MAX": "3"}) as service:
        browser = await service.sign_in()
        answers = [await browser.get("/api/v1/csrf-token") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert len({answer.json()["csrfToken"] for answer in answers[:3]}) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none-of-these"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://service.test.evil.example"},
        {"Origin": "http://service.test@evil.example"},
        {"Origin": "http://service.test:81"},
    ],
)
async def test_csrf_7_other_sites_are_refused_before_any_token_is_looked_at(service, headers):
    browser = await service.sign_in()
    token = await browser.fetch_csrf()
    for answer in (
        await browser.get("/api/v1/csrf-token", headers=headers),
        await new_portfolio(browser, headers=headers),
        await service.http.post("/api/v1/auth/login", json={}, headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "CROSS_SITE_REQUEST")
        assert "csrfToken" not in answer.text
        assert "X-RateLimit-Limit" not in answer.headers  # refused before the limiter counted
    assert (await browser.get("/api/v1/csrf-token")).json()["csrfToken"] == token


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://service.test"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://service.test"},
        {"Origin": "https://front.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://front.example", "Sec-Fetch-Site": "same-site"},
        {},
    ],
)
async def test_csrf_7_the_own_origin_and_listed_ones_pass(opened, headers):
    async with opened({"ALLOWED_ORIGINS": "https://front.example"}) as service:
        browser = await service.sign_in()
        assert (await new_portfolio(browser, headers=headers)).status_code == 201
