"""Health, readiness, metrics, logs, CORS, and how parts are replaced."""

import asyncio
import io
import json
import logging

import pytest

from cryptosense.errors import DatabaseUnavailable
from cryptosense.http.logs import AccessLog, configure_logging, current_request
from cryptosense.http.wiring import Instance, assemble_reference
from cryptosense.settings import Settings

FRONT = "https://front.example"


async def test_health_says_the_same_as_its_code(service):
    answer = await service.http.get("/health")
    assert answer.status_code == 200
    assert set(answer.json()) == {"status", "timestamp", "uptime", "services"}
    assert answer.json()["status"] == "ok"
    assert answer.json()["services"] == {"database": True}  # no Redis at stage off
    assert (await service.http.get("/livez")).status_code == 200


class NoDatabase:
    """A database that does not answer."""

    queries = 0

    async def migrate(self):
        raise DatabaseUnavailable("away")

    async def ping(self):
        return False

    def reading(self):
        raise DatabaseUnavailable("away")

    writing = reading

    async def aclose(self):
        return None


async def test_without_the_database_it_is_alive_but_not_ready(opened):
    async with opened({"STARTUP_WAIT_S": "0"}, database=lambda _: NoDatabase()) as service:
        assert (await service.http.get("/livez")).status_code == 200
        for path in ("/readyz", "/health"):
            answer = await service.http.get(path)
            assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        login = await service.http.post("/api/v1/auth/login", json={"email": "a@b.co", "password": "some password"})
        assert (login.status_code, login.json()["code"]) == (503, "DATABASE_UNAVAILABLE")
        assert login.headers["Retry-After"] == "1"


async def test_a_ping_that_hangs_is_no_answer(opened):
    class Hanging(NoDatabase):
        async def migrate(self):
            return None

        async def ping(self):
            await asyncio.Event().wait()

    async with opened(database=lambda _: Hanging()) as service:
        service.parts.health._patience_s = 0.01
        assert (await service.http.get("/health")).json()["services"] == {"database": False}


async def test_while_draining_readiness_is_503_and_connections_are_closed(service):
    service.parts.drain.draining = True
    answer = await service.http.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")
    assert answer.headers["Connection"] == "close"
    assert (await service.http.get("/livez")).status_code == 200


async def test_metrics_name_routes_by_their_templates_and_not_by_paths(service):
    for n in range(3):
        await service.http.get(f"/api/v1/risk/coin-{n}")
    await service.http.get("/no/such/path")
    await service.http.request("BREW", "/livez")
    text = (await service.http.get("/metrics")).text
    assert 'cryptosense_requests_total{method="GET",route="/api/v1/risk/{coin}",status="200"} 3.0' in text
    assert 'cryptosense_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'method="other"' in text
    assert "BREW" not in text
    assert "cryptosense_database_queries_total" in text
    assert "cryptosense_upstream_calls_total 3.0" in text
    assert 'cryptosense_stage{stage="off"} 1.0' in text


def test_logs_are_json_with_the_request_and_without_secrets():
    stream = io.StringIO()
    root, before = logging.getLogger(), logging.getLogger().handlers
    level = root.level
    try:
        configure_logging("info", ["hush-hush"], stream)
        identified = current_request.set("r-1")
        try:
            raise ValueError("the password is hush-hush")
        except ValueError:
            logging.getLogger("cryptosense.test").exception("it failed with hush-hush", extra={"where": "hush-hush"})
        finally:
            current_request.reset(identified)
    finally:
        root.handlers = before
        root.setLevel(level)
    line = json.loads(stream.getvalue())
    assert (line["level"], line["logger"], line["request_id"]) == ("ERROR", "cryptosense.test", "r-1")
    assert line["message"] == "it failed with ***"
    assert "hush-hush" not in stream.getvalue()


async def test_each_request_is_one_line_in_the_log(opened):
    stream = io.BytesIO()
    async with opened(access=lambda _: AccessLog(stream=stream)) as service:
        answer = await service.http.get("/api/v1/tokens?ids=bitcoin")
        await asyncio.gather(*(service.http.get("/livez") for _ in range(3)))
        await asyncio.sleep(0)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["route"] for line in lines] == ["/api/v1/tokens"] + ["/livez"] * 3
    assert (lines[0]["status"], lines[0]["cache"]) == (200, "miss")
    assert lines[0]["request_id"] == answer.headers["X-Request-ID"]
    assert {"level", "logger", "message", "method", "ms", "time"} < set(lines[0])


async def test_above_the_level_info_requests_are_not_logged(opened):
    async with opened({"LOG_LEVEL": "warning"}) as service:
        assert not service.parts.access.enabled


async def test_an_unexpected_error_is_500_with_a_code_and_logged_once(opened, caplog):
    class Broken:
        async def risk(self, _):
            raise ZeroDivisionError("inner details")

    async with opened(insights=lambda _: Broken()) as service:
        answer = await service.http.get("/api/v1/risk/bitcoin")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL_ERROR")
    assert "inner details" not in answer.text
    assert answer.headers["X-Request-ID"]
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def test_a_listed_origin_may_read_what_it_must(opened):
    async with opened({"ALLOWED_ORIGINS": FRONT}) as service:
        answer = await service.http.get("/api/v1/tokens?ids=bitcoin", headers={"Origin": FRONT})
        assert answer.headers["Access-Control-Allow-Origin"] == FRONT
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        exposed = {name.strip().lower() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
        assert exposed >= {"x-csrf-token", "x-cache", "retry-after", "ratelimit", "ratelimit-policy"}
        assert exposed >= {f"x-ratelimit-{name}" for name in ("limit", "remaining", "reset")}
        assert "Origin" in answer.headers.get_list("Vary")


async def test_a_preflight_is_answered_for_listed_origins_only(opened):
    async with opened({"ALLOWED_ORIGINS": FRONT}) as service:
        asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-csrf-token"}
        granted = await service.http.options("/api/v1/portfolios", headers={"Origin": FRONT, **asking})
        assert granted.status_code == 204
        assert "x-csrf-token" in granted.headers["Access-Control-Allow-Headers"].lower()
        assert "POST" in granted.headers["Access-Control-Allow-Methods"]
        for origin in (f"{FRONT}:444", "http://front.example", "https://front.example.evil", "null"):
            refused = await service.http.options("/api/v1/portfolios", headers={"Origin": origin, **asking})
            assert (refused.status_code, refused.json()["code"]) == (403, "CROSS_SITE_REQUEST")
            assert "Access-Control-Allow-Origin" not in refused.headers
            answer = await service.http.get("/livez", headers={"Origin": origin})
            assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_replaced_part_is_what_everything_above_it_is_built_on():
    class Spoilt:
        """Stands where the cache stands."""

    spoilt = Spoilt()
    parts = Instance(Settings.from_environment({}), cache=lambda _: spoilt)
    assert parts.cache is spoilt
    assert parts.market._cache is spoilt
    assert parts.csrf is parts.csrf


async def test_a_replacement_can_wrap_what_the_reference_builds():
    parts = Instance(Settings.from_environment({}), checks=lambda parts: list(Instance.checks.build(parts))[:-1])
    assert len(parts.guards.checks) == 5


def test_a_replacement_for_a_part_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="no part 'csfr'"):
        assemble_reference(Settings.from_environment({}), csfr=lambda _: None)
