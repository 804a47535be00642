"""A server that answers and refuses: busy with somebody's slow script, or still loading its data set."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cryptosense.errors import StateUnavailable
from cryptosense.state.catalog import open_redis
from cryptosense.state.contracts import CacheKey, Quota
from cryptosense.workbench.topology.ports import HOST
from cryptosense.workbench.topology.servers import Server, find_server

QUOTA = Quota(1000, 600_000)
REDIS_7 = Path("/usr/bin/redis-server")
KEYS = 1_500
SLOWLY = {"key-load-delay": "1000", "loading-process-events-interval-bytes": "1024"}
"""Each key takes a millisecond to load, and between every few dozen of them the server looks after its clients."""


@pytest.fixture(params=["valkey", "redis7"])
def server_with(request: pytest.FixtureRequest, own_server) -> Callable[..., Any]:
    """`server_with(**settings)` starts a server for one test alone."""
    if request.param == "redis7" and not REDIS_7.exists():
        pytest.skip(f"not installed: {REDIS_7}")
    program = find_server(REDIS_7) if request.param == "redis7" else None

    def start(**settings: str) -> Any:
        return own_server(program=program, settings={name.replace("_", "-"): value for name, value in settings.items()})

    return start


async def said(server: Server, command: bytes) -> bytes:
    """The first line of the server's answer on a new connection, as a client gets it that comes now."""
    reading, writing = await asyncio.open_connection(HOST, server.port)
    try:
        writing.write(command + b"\r\n")
        return await reading.readline()
    finally:
        writing.transport.abort()


async def until_it_says(server: Server, word: bytes, *, seconds: float = 20.0) -> None:
    """Waits until the server answers PING so; one that does not listen yet says nothing."""
    async with asyncio.timeout(seconds):
        while True:
            with suppress(OSError):
                if (await said(server, b"PING")).startswith(word):
                    return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def slow_script(server: Server, *, frozen: bool = False) -> AsyncIterator[None]:
    """Somebody sends a script that runs until it is killed, which it is when the block ends.

    `frozen`: it is sent to a frozen server, so that it lies there before whatever is sent from now on.
    """
    reading, writing = await asyncio.open_connection(HOST, server.port)
    writing.write(b"PING\r\n")
    assert await reading.readline() == b"+PONG\r\n"
    if frozen:
        server.freeze()
    writing.write(b'EVAL "while true do end" 0\r\n')
    try:
        yield
    finally:
        assert await said(server, b"SCRIPT KILL") == b"+OK\r\n"
        assert b"killed" in await reading.readline()
        writing.close()


@asynccontextmanager
async def busy(server: Server) -> AsyncIterator[None]:
    """A slow script runs, and the server has begun to say so."""
    async with slow_script(server):
        await until_it_says(server, b"-BUSY")
        yield


@asynccontextmanager
async def loading_again(server: Server) -> AsyncIterator[None]:
    """The server throws its data set away and loads it again from what it saved, with its connections open."""

    async def reload() -> None:
        async with server.client(socket_timeout=60) as client:
            await client.execute_command("DEBUG", "RELOAD")

    running = asyncio.create_task(reload())
    await until_it_says(server, b"-LOADING")
    try:
        yield
    finally:
        await running


async def fill(server: Server) -> None:
    async with server.client() as client:
        await client.mset({f"filler:{number}": "x" for number in range(KEYS)})


async def every_call_is_refused(state, reason: str) -> None:
    """Reads and writes of every kind, each answered with the server's own words: not denied, not unknown, not late."""
    key = CacheKey("space", "name")
    answers = await asyncio.gather(
        *(state.windows.admit("client", QUOTA, f"refused{number:04d}") for number in range(20)),
        state.windows.peek("client", QUOTA),
        state.csrf.peek("session"),
        state.csrf.compare_and_rotate("session", "token", "stolen", ttl_ms=60_000, grace_ms=0),
        state.sessions.find("user", "session"),
        state.cache.read_or_lease(key, fence="f", lease_ms=1_000, tags=["tag"]),
        state.leaders.lead("task", "holder", ttl_ms=1_000),
        return_exceptions=True,
    )
    for answer in answers:
        assert isinstance(answer, Exception), answer
        with pytest.raises(StateUnavailable, match=f"the server refused: .*{reason}"):
            raise answer


async def nothing_was_applied(state) -> None:
    admitted = await state.windows.admit("client", QUOTA, "afterwards")
    assert admitted.admitted
    assert admitted.remaining == QUOTA.limit - 2, "one before and this one; of those refused there is no trace"
    assert await state.csrf.peek("session") == "token"


async def begin(state) -> None:
    await state.csrf.replace("session", "token", ttl_ms=60_000)
    assert (await state.windows.admit("client", QUOTA, "beforehand")).admitted


async def test_a_server_busy_with_a_slow_script_refuses_and_is_used_again_once_it_is_killed(server_with, tools, record):
    async with (
        server_with(busy_reply_threshold="50") as server,
        tools.opened(tools.address_of(server), observer=record) as opened,
    ):
        await begin(opened.state)
        async with busy(server):
            await every_call_is_refused(opened.state, "busy running a script")
        await nothing_was_applied(opened.state)
        assert record.names() == ["connect", "ready"], "the same connection throughout"


async def test_a_call_under_way_when_the_server_turns_busy_is_refused_too(server_with, tools):
    async with (
        server_with(busy_reply_threshold="50") as server,
        tools.opened(tools.address_of(server)) as opened,
    ):
        await begin(opened.state)
        async with slow_script(server, frozen=True):
            call = asyncio.create_task(opened.state.windows.admit("client", QUOTA, "refused0001"))
            await asyncio.sleep(0)
            server.thaw()
            with pytest.raises(StateUnavailable, match=r"the server refused: .*busy running a script"):
                await call
        await nothing_was_applied(opened.state)


async def test_opening_while_the_server_is_busy_waits_for_nobody_and_comes_about_by_itself(server_with, tools):
    async with server_with(busy_reply_threshold="50") as server:
        async with busy(server):
            opened = open_redis(tools.address_of(server), budget_ms=5_000)
            assert not await opened.wait_ready(0.5)
            started = time.monotonic()
            for _ in range(20):
                with pytest.raises(StateUnavailable, match="out of reach"):
                    await opened.state.csrf.peek("session")
            assert time.monotonic() - started < 2.0, "twenty budgets would be a hundred seconds"
        assert await opened.wait_ready(10)
        await begin(opened.state)
        await opened.close()


async def test_a_server_that_loads_its_data_again_refuses_and_is_used_again_when_it_has(server_with, tools, record):
    async with (
        server_with(enable_debug_command="local", **SLOWLY) as server,
        tools.opened(tools.address_of(server), observer=record) as opened,
    ):
        await begin(opened.state)
        await fill(server)
        async with loading_again(server):
            await every_call_is_refused(opened.state, "loading the dataset")
        await nothing_was_applied(opened.state)
        assert record.names() == ["connect", "ready"], "the same connection throughout"


async def test_a_restarted_server_is_out_of_reach_until_it_has_loaded_and_then_has_everything(
    server_with, tools, record
):
    async with (
        server_with(**SLOWLY) as server,
        tools.opened(tools.address_of(server), observer=record) as opened,
    ):
        await begin(opened.state)
        await fill(server)
        await server.command("SAVE")
        await server.kill()
        restarting = asyncio.create_task(server.restart())
        await until_it_says(server, b"-LOADING")
        for number in range(20):
            with pytest.raises(StateUnavailable, match="out of reach"):
                await opened.state.windows.admit("client", QUOTA, f"refused{number:04d}")
        assert not await opened.ping()
        assert not restarting.done(), "all this while it was loading"
        await restarting
        assert await opened.wait_ready(10)
        await nothing_was_applied(opened.state)
        assert record.names() == ["connect", "ready", "close", "reconnecting", "error", "connect", "ready"]
