"""Accounts and sessions over HTTP."""

import pytest

from cryptosense.services.sessions import Sessions
from cryptosense.state.catalog import open_memory

PASSWORD = "correct horse battery"


async def test_registering_logging_in_and_refreshing_answer_alike(service):
    body = {"email": "Ada@Example.org", "password": PASSWORD}
    registered = await service.http.post("/api/v1/auth/register", json=body)
    logged_in = await service.http.post("/api/v1/auth/login", json=body)
    refreshed = await service.http.post("/api/v1/auth/refresh", json={"refreshToken": logged_in.json()["refreshToken"]})
    assert [a.status_code for a in (registered, logged_in, refreshed)] == [201, 200, 200]
    for answer in (registered, logged_in, refreshed):
        assert set(answer.json()) == {"user", "accessToken", "refreshToken"}
        assert answer.json()["user"] == {"id": registered.json()["user"]["id"], "email": "ada@example.org"}


async def test_a_user_cannot_be_registered_twice(service):
    browser = await service.sign_in()
    again = await service.http.post("/api/v1/auth/register", json={"email": browser.email, "password": PASSWORD})
    assert (again.status_code, again.json()["code"]) == (409, "CONFLICT")


async def test_an_unknown_user_and_a_wrong_password_are_answered_alike(service):
    browser = await service.sign_in()
    wrong = await service.http.post("/api/v1/auth/login", json={"email": browser.email, "password": "wrong horse"})
    unknown = await service.http.post("/api/v1/auth/login", json={"email": "no@example.org", "password": "wrong horse"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()


async def test_auth_1_logout_ends_bearer_refresh_and_csrf_token(service):
    browser = await service.sign_in()
    token = await browser.fetch_csrf()
    answer = await browser.post("/api/v1/auth/logout")
    assert answer.status_code == 204
    assert "X-CSRF-Token" not in answer.headers  # the session has no next request
    assert (await browser.get("/api/v1/csrf-token")).json()["code"] == "UNAUTHORIZED"
    refreshed = await service.http.post("/api/v1/auth/refresh", json={"refreshToken": browser.signed["refreshToken"]})
    assert refreshed.status_code == 401
    posted = await browser.post("/api/v1/portfolios", csrf=token, json={"name": "x", "holdings": []})
    assert posted.status_code == 401


async def test_auth_1_logout_needs_the_csrf_token(service):
    browser = await service.sign_in()
    answer = await service.http.post("/api/v1/auth/logout", headers=browser.bearer)
    assert answer.json()["code"] == "CSRF_TOKEN_MISSING"
    assert (await browser.get("/api/v1/csrf-token")).status_code == 200


async def test_a_logout_that_fails_delivers_the_successor_after_all(opened):
    class Failing:
        async def logout(self, _):
            raise ZeroDivisionError

    async with opened() as service:
        browser = await service.sign_in()
        token = await browser.fetch_csrf()
        vars(service.parts)["accounts"] = Failing()
        answer = await browser.post("/api/v1/auth/logout")
        assert answer.status_code == 500
        assert answer.headers["X-CSRF-Token"] != token


async def test_a_refresh_token_that_was_used_before_ends_the_session(service):
    browser = await service.sign_in()
    spent = browser.signed["refreshToken"]
    fresh = (await service.http.post("/api/v1/auth/refresh", json={"refreshToken": spent})).json()
    assert (await service.http.post("/api/v1/auth/refresh", json={"refreshToken": spent})).status_code == 401
    again = await service.http.post("/api/v1/auth/refresh", json={"refreshToken": fresh["refreshToken"]})
    assert again.status_code == 401


async def test_changing_the_password_ends_every_other_session(service):
    browser = await service.sign_in()
    credentials = {"email": browser.email, "password": PASSWORD}
    other = type(browser)(
        service.http, browser.email, (await service.http.post("/api/v1/auth/login", json=credentials)).json()
    )
    answer = await browser.post(
        "/api/v1/auth/password", json={"currentPassword": PASSWORD, "newPassword": "another horse battery"}
    )
    assert answer.json() == {"ended": 1}
    assert (await browser.get("/api/v1/portfolios")).status_code == 200
    assert (await other.get("/api/v1/portfolios")).status_code == 401
    assert (await service.http.post("/api/v1/auth/login", json=credentials)).status_code == 401


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic dTpw", "Bearer a.b.c", "bearer \u00e9", "Bearer " + "x" * 1_000_000],
)
async def test_what_is_no_bearer_is_401(service, authorization):
    headers = {"Authorization": authorization.encode("latin-1")}
    answer = await service.http.get("/api/v1/portfolios", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_an_access_token_ends_with_its_time(service):
    browser = await service.sign_in()
    service.clock.advance(901)
    assert (await browser.get("/api/v1/portfolios")).status_code == 401


@pytest.mark.parametrize("away", [("sessions",), ("csrf",), ("csrf", "sessions", "windows", "cache")])
async def test_csrf_5_an_outage_is_503_and_never_a_verdict_on_the_token(opened, without, away):
    async with opened({"SIGNING_SECRET": "s" * 32}, state=without(*away)) as service:
        headers = {"Authorization": f"Bearer {await bearer_of(service)}", "X-CSRF-Token": "0" * 64}
        answer = await service.http.post("/api/v1/portfolios", headers=headers, json={"name": "x", "holdings": []})
        assert (answer.status_code, answer.json()["code"]) == (503, "STATE_UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) >= 1
        assert "X-CSRF-Token" not in answer.headers


async def bearer_of(service):
    """A validly signed access token, made without the state."""
    elsewhere = Sessions(open_memory(service.clock).state.sessions, secret="s" * 32, clock=service.clock)
    return (await elsewhere.open("user-1")).access_token


async def test_while_the_state_is_away_tokens_are_served_and_logins_are_503(opened, without):
    async with opened(state=without("csrf", "sessions", "windows", "cache")) as service:
        tokens = await service.http.get("/api/v1/tokens?ids=bitcoin")
        assert (tokens.status_code, tokens.headers["X-Cache"]) == (200, "bypass")
        answer = await service.http.post(
            "/api/v1/auth/register", json={"email": "new@example.org", "password": PASSWORD}
        )
        assert (answer.status_code, answer.json()["code"]) == (503, "STATE_UNAVAILABLE")
