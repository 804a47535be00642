"""Limits over HTTP: the fields, the identities, and who decides during an outage."""

import asyncio
import math
from datetime import datetime

import pytest

LIMITED = "/api/v1/csrf-token"


async def test_rate_1_no_more_than_the_limit_of_concurrent_requests_passes(opened):
    async with opened({"RATE_LIMIT_API_MAX": "10"}) as service:
        answers = await asyncio.gather(*(service.http.get("/api/v1/tokens?ids=bitcoin") for _ in range(30)))
        assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 20


async def test_rate_2_a_steady_overload_gets_the_whole_limit_in_every_window(opened):
    async with opened({"RATE_LIMIT_API_MAX": "10", "RATE_LIMIT_API_WINDOW_MS": "10000"}) as service:
        admitted = []
        for _ in range(4):
            window = 0
            for _ in range(13):
                window += (await service.http.get(LIMITED)).status_code == 401
                service.clock.advance(10 / 13)
            admitted.append(window)
        assert admitted == [10] * 4


async def test_rate_3_a_client_that_obeys_retry_after_is_admitted(opened):
    async with opened({"RATE_LIMIT_API_MAX": "2", "RATE_LIMIT_API_WINDOW_MS": "60000"}) as service:
        await service.http.get(LIMITED)
        service.clock.advance(20.5)
        await service.http.get(LIMITED)
        denied = await service.http.get(LIMITED)
        assert denied.status_code == 429
        assert denied.json() == {
            "error": denied.json()["error"],
            "code": "RATE_LIMIT_EXCEEDED",
            "retryAfter": 40,
            "limit": 2,
        }
        assert denied.headers["Retry-After"] == "40"
        service.clock.advance(39)
        assert (await service.http.get(LIMITED)).status_code == 429
        service.clock.advance(1)
        assert (await service.http.get(LIMITED)).status_code == 401


async def test_the_fields_of_the_plan_and_of_the_ietf_stand_on_every_limited_answer(service):
    answer = await service.http.get(LIMITED)
    assert answer.status_code == 401
    headers = answer.headers
    assert headers["X-RateLimit-Limit"] == "100"
    assert headers["X-RateLimit-Remaining"] == "99"
    reset = datetime.fromisoformat(headers["X-RateLimit-Reset"])
    assert reset.timestamp() == math.ceil(service.clock.now() + 900)
    assert headers["RateLimit-Policy"] == '"api";q=100;w=900'
    assert headers["RateLimit"] == '"api";r=99;t=900'
    assert "Retry-After" not in headers


async def test_each_policy_has_a_budget_of_its_own(opened):
    async with opened({"RATE_LIMIT_API_MAX": "1"}) as service:
        assert (await service.http.get(LIMITED)).status_code == 401
        assert (await service.http.get(LIMITED)).status_code == 429
        login = await service.http.post("/api/v1/auth/login", json={"email": "a@b.co", "password": "wrong one"})
        assert login.status_code == 401
        assert login.headers["RateLimit-Policy"].startswith('"auth"')


async def test_users_behind_one_address_have_budgets_of_their_own(opened):
    async with opened({"RATE_LIMIT_API_MAX": "1"}) as service:
        one, other = await service.sign_in(), await service.sign_in()
        assert (await one.get(LIMITED)).status_code == 200
        assert (await one.get(LIMITED)).status_code == 429
        assert (await other.get(LIMITED)).status_code == 200


async def test_a_bearer_that_is_not_signed_counts_against_the_address(opened):
    async with opened({"RATE_LIMIT_API_MAX": "3"}) as service:
        for n in range(3):
            answer = await service.http.get(LIMITED, headers={"Authorization": f"Bearer made.up.{n}"})
            assert answer.status_code == 401
        assert (await service.http.get(LIMITED, headers={"Authorization": "Bearer x"})).status_code == 429


async def test_login_counts_against_the_address_even_with_a_bearer(opened):
    async with opened({"RATE_LIMIT_AUTH_MAX": "2"}) as service:
        browser = await service.sign_in()
        wrong = {"email": browser.email, "password": "wrong password"}
        first = await service.http.post("/api/v1/auth/login", json=wrong, headers=browser.bearer)
        assert first.status_code == 401
        assert (await service.http.post("/api/v1/auth/login", json=wrong)).status_code == 429


async def test_refresh_counts_against_its_session_and_not_against_the_address(opened):
    async with opened({"RATE_LIMIT_AUTH_MAX": "3"}) as service:
        one, other = await service.sign_in(), await service.sign_in()
        token = one.signed["refreshToken"]
        for _ in range(3):
            answer = await service.http.post("/api/v1/auth/refresh", json={"refreshToken": token})
            assert answer.status_code == 200
            token = answer.json()["refreshToken"]
        assert (await service.http.post("/api/v1/auth/refresh", json={"refreshToken": token})).status_code == 429
        answer = await service.http.post("/api/v1/auth/refresh", json={"refreshToken": other.signed["refreshToken"]})
        assert answer.status_code == 200


@pytest.mark.parametrize("body", [b"", b"[]", b'{"refreshToken": 5}', b'{"refreshToken": "x.y.z"}', b"\xff"])
async def test_refresh_without_a_readable_token_counts_against_the_address(opened, body):
    async with opened({"RATE_LIMIT_AUTH_MAX": "1"}) as service:
        headers = {"Content-Type": "application/json"}
        first = await service.http.post("/api/v1/auth/refresh", content=body, headers=headers)
        assert first.status_code in {401, 422}
        assert (await service.http.post("/api/v1/auth/refresh", content=body, headers=headers)).status_code == 429


async def test_rate_6_a_forwarded_address_is_not_believed_from_just_anybody(opened):
    async with opened({"RATE_LIMIT_API_MAX": "2"}) as service:
        for n in range(2):
            await service.http.get(LIMITED, headers={"X-Forwarded-For": f"198.51.100.{n}"})
        answer = await service.http.get(LIMITED, headers={"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=1.2.3.4"})
        assert answer.status_code == 429


async def test_rate_6_a_trusted_proxy_is_believed_about_its_own_hop_only(opened):
    async with opened({"RATE_LIMIT_API_MAX": "1", "TRUSTED_PROXIES": "192.0.2.0/24"}) as service:
        for spoofed in ("9.9.9.9", "8.8.8.8"):
            answer = await service.http.get(LIMITED, headers={"X-Forwarded-For": f"{spoofed}, 198.51.100.1"})
        assert answer.status_code == 429
        assert (await service.http.get(LIMITED, headers={"X-Forwarded-For": "198.51.100.2"})).status_code == 401


async def test_rate_6_a_second_forwarding_header_is_read_as_the_nearer_hop(opened):
    async with opened({"RATE_LIMIT_API_MAX": "1", "TRUSTED_PROXIES": "192.0.2.0/24"}) as service:
        for spoofed in ("9.9.9.9", "8.8.8.8"):
            headers = [("X-Forwarded-For", spoofed), ("X-Forwarded-For", "198.51.100.1")]
            answer = await service.http.get(LIMITED, headers=headers)
        assert answer.status_code == 429


async def test_rate_7_the_insurance_takes_over_and_its_fields_tell_the_truth(opened, without):
    async with opened({"INSTANCES": "4"}, state=without("windows")) as service:
        answers = [await service.http.get(LIMITED) for _ in range(26)]
        assert [answer.status_code for answer in answers] == [401] * 25 + [429]
        assert answers[0].headers["X-RateLimit-Limit"] == "25"
        assert answers[0].headers["X-RateLimit-Remaining"] == "24"
        assert answers[-1].json()["limit"] == 25
        ready = await service.http.get("/readyz")
        assert (ready.status_code, service.parts.breaker.is_open) == (200, True)
        metrics = (await service.http.get("/metrics")).text
        assert 'cryptosense_limit_decisions_total{outcome="denied",policy="api",source="insurance"} 1.0' in metrics
        assert "cryptosense_breaker_open 1.0" in metrics


async def test_rate_7_a_policy_that_refuses_says_so(opened, without):
    async with opened({"RATE_LIMIT_AUTH_ON_OUTAGE": "refuse"}, state=without("windows")) as service:
        answer = await service.http.post("/api/v1/auth/login", json={"email": "a@b.co", "password": "wrong one"})
        assert (answer.status_code, answer.json()["code"]) == (503, "STATE_UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) >= 1
