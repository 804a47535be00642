"""One instance as a real process, with a real Valkey: start, outages, stages, shutdown."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cryptosense.workbench.topology.ports import free_port
from cryptosense.workbench.topology.servers import Server, standalone

SECRET = "a secret for tests, long enough for it"
PASSWORD = "correct horse battery"


class Instance:
    """A child process that runs the service; everything it said is kept."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.url = ""
        self.said: list[str] = []

    async def until_ready(self) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            line = (await self.process.stdout.readline()).decode()
        assert line.startswith("ready http://"), line + self.log.read_text()
        self.said.append(line)
        self.url = line.split()[1]

    async def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Sends the signal; the exit code and the seconds until it came."""
        started = time.monotonic()
        self.process.send_signal(number)
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            rest = await self.process.stdout.read()
            code = await self.process.wait()
        self.said += rest.decode().splitlines()
        return code, time.monotonic() - started

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line.get("event") == event]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    return {
        **kept,
        "PYTHONWARNINGS": "error",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'service.db'}",
        "SIGNING_SECRET": SECRET,
        "COINGECKO_URL": f"http://127.0.0.1:{free_port()}",
        "PASSWORD_MEMORY_KIB": "8",
        "PASSWORD_ROUNDS": "1",
        "RATE_LIMIT_AUTH_MAX": "1000",
        "DRAIN_S": "0.2",
        # Outlasts what a busy machine keeps a sound server waiting for; a test about the budget sets its own.
        "STATE_BUDGET_MS": "5000",
    }


@asynccontextmanager
async def launched(environ: Mapping[str, str], folder: Path, *, name: str = "service") -> AsyncIterator[Instance]:
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cryptosense.http", "--host", "127.0.0.1", "--port", "0"),
            env=dict(environ),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
        )
    instance = Instance(process, log)
    try:
        await instance.until_ready()
        yield instance
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Server]:
    server = standalone(tmp_path / "valkey")
    await server.start()
    yield server
    await server.kill()


async def until(holds: Callable[[], Any], *, seconds: float = 20) -> Any:
    """Waits for what `holds` gives to be true; it is a coroutine function."""
    async with asyncio.timeout(seconds):
        while not (found := await holds()):  # noqa: ASYNC110 (another process decides, and sends no event)
            await asyncio.sleep(0.05)
    return found


async def signed_in(http: httpx.AsyncClient, email: str = "ada@example.org") -> dict[str, str]:
    answer = await http.post("/api/v1/auth/register", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['accessToken']}"}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"REDIS_URL": "redis://127.0.0.1:1", "SIGNING_SECRET": ""}, "SIGNING_SECRET"),
        ({"REDIS_URL": "mysql://h"}, "REDIS_URL"),
        ({"DATABASE_URL": "sqlite:///:memory:"}, "DATABASE_URL"),
    ],
)
async def test_a_wrong_setting_is_one_line_and_exit_code_2(environment, tmp_path, wrong, named):
    code, said, complained = await refused({**environment, **wrong}, tmp_path, port=0)
    assert (code, said) == (2, "")
    assert complained.count("\n") == 1
    assert named in complained
    assert "Traceback" not in complained


async def test_a_taken_port_is_one_line_and_exit_code_2(environment, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, said, complained = await refused(environment, tmp_path, port=taken.getsockname()[1])
    assert (code, said, complained.count("\n")) == (2, "", 1)
    assert "cannot listen" in complained


async def refused(environ: Mapping[str, str], folder: Path, *, port: int) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cryptosense.http", "--port", str(port)),
        env=dict(environ),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        said, complained = await process.communicate()
    return process.returncode, said.decode(), complained.decode()


@pytest.mark.parametrize("redis_up", [True, False])
async def test_stop_1_sigterm_ends_in_good_order_with_redis_up_or_down(environment, tmp_path, valkey, redis_up):
    environ = {**environment, "REDIS_URL": valkey.url, "DRAIN_S": "3"}  # the longest that is allowed
    async with launched(environ, tmp_path) as instance, httpx.AsyncClient(base_url=instance.url) as idle:
        assert (await idle.get("/livez")).status_code == 200  # a kept-alive connection from here on
        if not redis_up:
            await valkey.kill()
        ending = asyncio.create_task(instance.end())
        await until(lambda: draining(idle))
        code, seconds = await ending
        assert code == 0
        assert seconds < 10
        assert len(instance.said) == 1  # `ready` and nothing else
        assert "Traceback" not in instance.log.read_text()
        assert instance.logged("stopped")


async def draining(http: httpx.AsyncClient) -> bool:
    answer = await http.get("/readyz")
    if answer.status_code != 503:
        return False
    assert answer.json()["status"] == "draining"
    assert answer.headers["Connection"] == "close"
    return True


async def test_stop_1_a_request_under_way_is_finished(environment, tmp_path):
    async with (
        slow_provider() as (url, asked),
        launched({**environment, "COINGECKO_URL": url}, tmp_path) as instance,
        httpx.AsyncClient(base_url=instance.url, timeout=20) as http,
    ):
        request = asyncio.create_task(http.get("/api/v1/tokens?ids=bitcoin"))
        async with asyncio.timeout(20):
            await asked.wait()
        code, _ = await instance.end()
        assert (await request).status_code == 200
        assert code == 0


@asynccontextmanager
async def slow_provider() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Answers every request with an empty list after a second and a half; its address, and whether it was asked."""
    asked = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await asyncio.sleep(1.5)
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]"
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_conn_3_it_starts_without_redis_says_so_and_recovers_by_itself(environment, tmp_path):
    server = standalone(tmp_path / "valkey", port=free_port())
    environ = {**environment, "REDIS_URL": server.url, "STARTUP_WAIT_S": "0.3"}
    async with launched(environ, tmp_path) as instance, httpx.AsyncClient(base_url=instance.url) as http:
        assert instance.logged("started")[0]["redis"] is False
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        health = await http.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "unavailable")
        assert health.json()["services"] == {"database": True, "redis": False}
        try:
            await server.start()
            await until(lambda: status_is(http, "ready"))
            assert (await http.get("/health")).status_code == 200
            await signed_in(http)
        finally:
            await server.kill()


async def status_is(http: httpx.AsyncClient, status: str) -> bool:
    return bool((await http.get("/readyz")).json()["status"] == status)


async def test_conn_3_with_redis_up_the_first_answer_is_ready(environment, tmp_path, valkey):
    environ = {**environment, "REDIS_URL": valkey.url}
    async with launched(environ, tmp_path) as instance, httpx.AsyncClient(base_url=instance.url) as http:
        assert await status_is(http, "ready")
        assert instance.logged("started")[0]["redis"] is True


async def test_conn_1_a_frozen_redis_costs_a_request_its_budget_and_no_more(environment, tmp_path, valkey):
    environ = {**environment, "REDIS_URL": valkey.url, "STATE_BUDGET_MS": "2000"}
    async with launched(environ, tmp_path) as instance, httpx.AsyncClient(base_url=instance.url, timeout=20) as http:
        headers = await signed_in(http)
        headers["X-CSRF-Token"] = (await http.get("/api/v1/csrf-token", headers=headers)).json()["csrfToken"]
        valkey.freeze()
        try:
            started = time.monotonic()
            answer = await http.post("/api/v1/portfolios", headers=headers, json={"name": "x", "holdings": []})
            seconds = time.monotonic() - started
            tokens = await http.get("/api/v1/risk/bitcoin")
        finally:
            valkey.thaw()
        assert (answer.status_code, answer.json()["code"]) == (503, "STATE_UNAVAILABLE")
        assert seconds < 4  # two budgets; limiter, session and token with one each would be three
        assert tokens.json()["code"] == "UPSTREAM_UNAVAILABLE"  # went past the cache, to no provider
        await until(lambda: status_is(http, "ready"))
        answer = await http.post("/api/v1/portfolios", headers=headers, json={"name": "x", "holdings": []})
        assert answer.status_code == 201


async def test_csrf_5_and_rate_7_while_redis_is_down_and_after(environment, tmp_path, valkey):
    environ = {**environment, "REDIS_URL": valkey.url, "INSTANCES": "2", "RATE_LIMIT_API_MAX": "40"}
    async with launched(environ, tmp_path) as instance, httpx.AsyncClient(base_url=instance.url, timeout=20) as http:
        headers = await signed_in(http)
        headers["X-CSRF-Token"] = (await http.get("/api/v1/csrf-token", headers=headers)).json()["csrfToken"]
        await valkey.kill()
        for _ in range(5):
            answer = await http.post("/api/v1/portfolios", headers=headers, json={"name": "x", "holdings": []})
            assert (answer.status_code, answer.json()["code"]) == (503, "STATE_UNAVAILABLE")
            assert answer.headers["X-RateLimit-Limit"] == "20"
        answers = [await http.get("/api/v1/csrf-token") for _ in range(21)]
        assert [answer.status_code for answer in answers] == [401] * 20 + [429]
        assert (await http.get("/readyz")).json()["status"] == "degraded"
        await valkey.start()
        await until(lambda: status_is(http, "ready"))
        answer = await http.get("/api/v1/csrf-token")
        assert answer.headers["X-RateLimit-Limit"] == "40"
    for event in ("breaker_opened", "breaker_closed"):
        assert len(instance.logged(event)) == 1


async def test_csrf_2_and_auth_1_hold_across_instances(environment, tmp_path, valkey):
    environ = {**environment, "REDIS_URL": valkey.url, "CSRF_GRACE_S": "0"}
    async with (
        launched(environ, tmp_path, name="one") as one,
        launched(environ, tmp_path, name="two") as two,
        httpx.AsyncClient(base_url=one.url) as first,
        httpx.AsyncClient(base_url=two.url) as second,
    ):
        headers = await signed_in(first)
        token = (await second.get("/api/v1/csrf-token", headers=headers)).json()["csrfToken"]
        body = {"name": "x", "holdings": []}
        answers = await asyncio.gather(
            *(
                http.post("/api/v1/portfolios", headers={**headers, "X-CSRF-Token": token}, json=body)
                for http in (first, second) * 10
            )
        )
        assert sorted(answer.status_code for answer in answers) == [201] + [403] * 19
        successor = next(answer for answer in answers if answer.status_code == 201).headers["X-CSRF-Token"]
        logout = await first.post("/api/v1/auth/logout", headers={**headers, "X-CSRF-Token": successor})
        assert logout.status_code == 204
        assert (await second.get("/api/v1/portfolios", headers=headers)).status_code == 401


async def test_stage_1_the_watched_file_walks_the_stages_while_requests_run(environment, tmp_path, valkey):
    stages = ["off", "dualwrite", "shadow", "live", "rampdown", "complete"]
    file = tmp_path / "stage"
    file.write_text("off")
    environ = {**environment, "REDIS_URL": valkey.url, "MIGRATION_STAGE_FILE": str(file)}
    environ |= {"RATE_LIMIT_API_MAX": "100000", "STARTUP_WAIT_S": "2"}
    async with launched(environ, tmp_path) as instance, httpx.AsyncClient(base_url=instance.url, timeout=20) as http:
        assert (await http.get("/health")).json()["services"] == {"database": True}
        before = await signed_in(http)
        asked_in: str | None = "off"  # the stage, or None while the instance goes from one to another
        answers: list[tuple[str | None, str, int]] = []

        async def traffic(who: str, headers: Mapping[str, str]) -> None:
            while True:
                sent_in = asked_in
                status = (await http.get("/api/v1/portfolios", headers=headers)).status_code
                answers.append((sent_in if sent_in == asked_in else None, who, status))
                await asyncio.sleep(0.01)

        async def many_asked_in(stage: str, who: str) -> bool:
            return sum(one[:2] == (stage, who) for one in answers) >= 5

        requests = [asyncio.create_task(traffic("from memory alone", before))]
        for stage in [*stages[1:4], *stages[2::-1]]:
            answers.clear()
            asked_in = None
            file.write_text(f"{stage}\n")
            await until(lambda stage=stage: stage_is(http, stage))
            asked_in = stage
            if len(requests) == 1:
                both = await signed_in(http, "grace@example.org")
                requests.append(asyncio.create_task(traffic("from both", both)))
            for who in ("from memory alone", "from both"):
                await until(lambda stage=stage, who=who: many_asked_in(stage, who))
            assert {status for _, who, status in answers if who == "from both"} == {200}, stage
            alone = {status for asked, who, status in answers if who == "from memory alone" and asked == stage}
            assert alone == ({401} if stage == "live" else {200}), stage
            assert {status for *_, status in answers} <= {200, 401}
        for one in requests:
            one.cancel()
        await asyncio.gather(*requests, return_exceptions=True)
        file.write_text("complete")  # five steps at once
        await until(lambda: asyncio.sleep(0, instance.logged("stage_refused")))
        assert await stage_is(http, "off")
        await valkey.kill()
        file.write_text("dualwrite")
        await until(lambda: stage_is(http, "dualwrite"))
        metrics = (await http.get("/metrics")).text
        assert 'cryptosense_stage{stage="dualwrite"} 1.0' in metrics


async def stage_is(http: httpx.AsyncClient, stage: str) -> bool:
    return bool((await http.get("/readyz")).json()["stage"] == stage)


async def test_no_secret_reaches_the_log(environment, tmp_path, valkey):
    environ = {**environment, "REDIS_URL": valkey.url, "LOG_LEVEL": "debug", "COINGECKO_API_KEY": "key-of-the-provider"}
    async with launched(environ, tmp_path) as instance:
        async with httpx.AsyncClient(base_url=instance.url) as http:
            headers = await signed_in(http)
            token = (await http.get("/api/v1/csrf-token", headers=headers)).json()["csrfToken"]
            await http.post("/api/v1/portfolios", headers={**headers, "X-CSRF-Token": token}, json={"name": 5})
            await http.get("/api/v1/tokens?ids=bitcoin")
        await instance.end()
    log = instance.log.read_text()
    assert '"route":"/api/v1/portfolios"' in log
    for secret in (SECRET, PASSWORD, token, headers["Authorization"].split()[1], "key-of-the-provider"):
        assert secret not in log


async def test_what_is_no_http_and_heads_without_end_are_400_with_a_code(environment, tmp_path):
    async with launched(environment, tmp_path) as instance:
        for sent in (b"HELLO\r\n\r\n", b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n"):
            assert b'"code":"BAD_REQUEST"' in await exchanged(instance.url, sent)
        endless = b"GET / HTTP/1.1\r\n" + b"x-a: " + b"a" * 3_000_000
        assert await exchanged(instance.url, endless) is not None
        async with httpx.AsyncClient(base_url=instance.url) as http:
            answer = await http.get("/api/v1/portfolios", headers={"Authorization": "Bearer " + "x" * 1_000_000})
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")


async def exchanged(url: str, sent: bytes) -> bytes:
    """What came back before the connection was closed."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    received = b""
    try:
        async with asyncio.timeout(20):
            received = await reader.read()
    except ConnectionResetError:
        pass  # it was closed while we were still sending
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return received
