"""The OpenAPI document, and the service held to it by generated requests."""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cryptosense.http.app import create_app
from cryptosense.http.replies import Problem
from cryptosense.settings import Settings
from cryptosense.workbench.topology.ports import free_port

PASSWORD = "correct horse battery"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SUPPRESSED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


async def test_every_refusal_has_an_example_that_is_what_is_sent(service):
    document = (await service.http.get("/openapi.json")).json()
    seen = {}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                for content in answer.get("content", {}).values():
                    for code, example in content.get("examples", {}).items():
                        assert example["value"]["code"] == code
                        assert int(status) == next(p.status for p in Problem if p.code == code), path
                        seen[code] = example["value"]
    assert set(seen) == {problem.code for problem in Problem} - {"INTERNAL_ERROR", "METHOD_NOT_ALLOWED", "BAD_REQUEST"}
    sent = (await service.http.post("/api/v1/auth/logout")).json()
    assert sent == seen["UNAUTHORIZED"]


async def test_what_a_route_asks_for_stands_in_the_document(service):
    document = (await service.http.get("/openapi.json")).json()
    post = document["paths"]["/api/v1/portfolios"]["post"]
    assert post["security"] == [{"bearer": []}]
    assert [parameter["name"] for parameter in post["parameters"]] == ["X-CSRF-Token"]
    assert {"201", "401", "403", "413", "422", "429", "503"} == set(post["responses"])
    assert "X-CSRF-Token" in post["responses"]["201"]["headers"]
    assert "security" not in document["paths"]["/api/v1/tokens"]["get"]
    assert "X-Cache" in document["paths"]["/api/v1/tokens"]["get"]["responses"]["200"]["headers"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service in memory with a provider that answers at once."""
    folder = tmp_path_factory.mktemp("openapi")
    port = free_port()
    provider = [sys.executable, "-m", "cryptosense.workbench.topology.simulated_coingecko"]
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{folder / 'service.db'}",
        "COINGECKO_URL": f"http://127.0.0.1:{port}/api/v3",
        "COINGECKO_CALLS_PER_MINUTE": "100000",
        "PASSWORD_MEMORY_KIB": "8",
        "PASSWORD_ROUNDS": "1",
        "CSRF_GRACE_S": "3600",
        "LOG_LEVEL": "warning",
        **{f"RATE_LIMIT_{policy}_MAX": "1000000" for policy in ("AUTH", "API", "STRICT")},
    }
    with (
        (folder / "service.log").open("wb") as log,
        spoken([*provider, "--port", str(port), "--latency-ms", "0", "1"], environ, folder, log),
        spoken([sys.executable, "-m", "cryptosense.http", "--port", "0"], environ, folder, log) as url,
    ):
        yield url


class spoken:  # noqa: N801 (reads as what it waits for)
    """A process that says `ready URL`; ended when the block ends."""

    def __init__(self, command: list[str], environ: dict[str, str], folder: Path, log) -> None:
        self.process = subprocess.Popen(command, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)

    def __enter__(self) -> str:
        said = self.process.stdout.readline()
        assert said.startswith("ready "), said
        return said.split()[1]

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)


class Caller:
    """Signed in, whatever the generated requests did to its session before."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url)
        self.bearer: dict[str, str] = {}

    def headers(self) -> dict[str, str]:
        answer = self.http.get("/api/v1/csrf-token", headers=self.bearer)
        if answer.status_code == 401:
            credentials = {"email": f"{secrets.token_hex(8)}@example.org", "password": PASSWORD}
            signed = self.http.post("/api/v1/auth/register", json=credentials).json()
            self.bearer = {"Authorization": f"Bearer {signed['accessToken']}"}
            answer = self.http.get("/api/v1/csrf-token", headers=self.bearer)
        return {**self.bearer, "X-CSRF-Token": answer.json()["csrfToken"]}


@pytest.fixture(scope="module")
def caller(address: str) -> Iterator[Caller]:
    caller = Caller(address)
    yield caller
    caller.http.close()


SCHEMA = schemathesis.openapi.from_dict(create_app(Settings.from_environment({})).openapi())
OPERATIONS = [result.ok() for result in SCHEMA.get_all_operations()]


def hold_to_the_document(operation: APIOperation, caller: Caller, url: str, *, examples: int) -> None:
    """Generated requests, good and bad ones, as somebody who is signed in."""
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=examples < 100,
            suppress_health_check=SUPPRESSED,
            phases=[Phase.generate],
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def answers_as_described(case: Case) -> None:
            answer = case.call(base_url=url, headers=caller.headers())
            if answer.status_code != 400:  # what cannot be parsed as HTTP never reaches the routes
                case.validate_response(answer, checks=CHECKS)
            else:
                assert answer.json()["code"] == "BAD_REQUEST"

        with contextlib.suppress(Unsatisfiable):  # nothing about this operation can be got wrong
            answers_as_described()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_generated_requests_meet_no_server_error(operation, caller, address):
    hold_to_the_document(operation, caller, address, examples=8)


@pytest.mark.full
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_many_generated_requests_meet_no_server_error(operation, caller, address):
    hold_to_the_document(operation, caller, address, examples=150)
