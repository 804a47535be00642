"""Controls are services: each comes up, signs users up, and differs from the reference in the one way that it says."""

import re
import subprocess
import sys

import httpx
import pytest

from cryptosense.controls.control import catalog, find_control
from cryptosense.errors import UsageError
from cryptosense.settings import Settings
from cryptosense.workbench.topology.servers import start_standalone

PROMISES = (
    *(f"CSRF-{number}" for number in range(1, 8)),
    *(f"RATE-{number}" for number in range(1, 10)),
    *(f"CACHE-{number}" for number in range(1, 9)),
    *(f"CONN-{number}" for number in range(1, 4)),
    "STOP-1",
    "AUTH-1",
)


@pytest.fixture
async def server(tmp_path):
    async with await start_standalone(tmp_path / "server") as started:
        yield started


def settings(server, tmp_path):
    return Settings.from_environment(
        {
            "REDIS_URL": server.url,
            "SIGNING_SECRET": "a secret of the tests, long enough to sign",
            "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'users.db'}",
            "PASSWORD_MEMORY_KIB": "1024",
        }
    )


def test_every_fault_row_of_the_contract_has_a_control():
    assert {control.contract for control in catalog().values()} >= set(PROMISES)


def test_a_control_is_named_after_the_promise_that_it_breaks():
    for name, control in catalog().items():
        assert name == control.contract.lower() or control.contract == "SOAK"
        assert re.fullmatch(r"[A-Z].*\.", control.flaw)


def test_an_unknown_control_is_refused_with_the_valid_names():
    with pytest.raises(UsageError, match="csrf-1, csrf-2"):
        find_control("csrf-99")
    told = subprocess.run(
        [sys.executable, "-m", "cryptosense.controls", "csrf-99"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("name", catalog())
async def test_a_control_serves_like_the_reference(name, server, tmp_path):
    app = find_control(name).app(settings(server, tmp_path))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 4000))
        async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
            assert (await client.get("/livez")).status_code == 200
            body = {"email": "ada@example.org", "password": "correct horse battery"}
            made = await client.post("/api/v1/auth/register", json=body)
            assert made.status_code == 201, made.text
            bearer = {"Authorization": f"Bearer {made.json()['accessToken']}"}
            token = (await client.get("/api/v1/csrf-token", headers=bearer)).json()["csrfToken"]
            posted = await client.post(
                "/api/v1/portfolios", headers={**bearer, "X-CSRF-Token": token}, json={"name": "first", "holdings": []}
            )
            assert posted.status_code == 201, posted.text
