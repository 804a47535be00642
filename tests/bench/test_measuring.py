"""The bench measures real servers, and what it counts is what happened."""

import asyncio
import os
from dataclasses import replace

import pytest

from cryptosense.bench.bench import open_bench
from cryptosense.bench.hammer import fire, request_bytes
from cryptosense.bench.limiter import limiter_rows
from cryptosense.bench.stampede import stampede
from cryptosense.bench.web import _serving


@pytest.fixture
async def bench():
    async with open_bench(calls=64, rounds=1) as opened:
        yield replace(opened, without_peers=True)  # the peers' clients cannot be closed


@pytest.mark.end_to_end
async def test_apps_answer_and_the_hammer_counts_every_answer(bench):
    async with _serving(bench, ["bare", "limited"]) as ports:
        for app in ("bare", "limited"):
            port, pid = ports[app]
            one_client = [request_bytes("/", {"X-Forwarded-For": "10.0.0.1"})]
            volley = await fire(one_client, port, pid=pid, connections=4, count=130)
            expected = {200: 130} if app == "bare" else {200: 100, 429: 30}
            assert dict(volley.statuses) == expected
            assert volley.seconds > 0


async def test_a_connection_that_breaks_ends_the_measurement(bench):
    async def hang_up(reader, writer):
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionError):
            await fire([request_bytes("/", {})], port, pid=os.getpid(), connections=1, count=2)


async def test_the_limiter_s_rows_have_our_figures_and_the_plan_s(bench):
    rows = {row.id: row for row in await limiter_rows(bench)}
    assert rows["limiter-bytes"].reached
    assert rows["limiter-bytes-small"].reached
    assert {entry.name for entry in rows["limiter-64"].entries} >= {"cryptosense", "plan's MULTI"}


@pytest.mark.end_to_end
async def test_a_stampede_of_two_processes_costs_one_fetch(bench):
    seen = await stampede(bench)
    assert seen.fetches == 1
    assert seen.commands <= 60
