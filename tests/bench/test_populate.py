"""The driver that puts identities into a store: as a program over its pipes, against a real server."""

import asyncio
import json
import sys

import pytest

from cryptosense.bench.populate import KINDS
from cryptosense.workbench.topology.servers import start_standalone


@pytest.fixture
async def driver():
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cryptosense.bench.populate",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )

    async def ask(question):
        process.stdin.write(json.dumps(question).encode() + b"\n")
        return json.loads(await asyncio.wait_for(process.stdout.readline(), 30))

    yield process, ask
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_every_kind_leaves_its_keys_and_costs_one_script_an_operation(driver, tmp_path):
    _, ask = driver
    async with await start_standalone(tmp_path) as server:
        assert await ask({"redis_url": server.url}) == {"ready": True, "primaries": 1}
        answer = await ask({"what": list(KINDS), "first": 0, "last": 50})
    assert answer["scripts"] == 50 * len(KINDS)
    assert answer["keys"] == [50 * (len(KINDS) + 1)]  # a session has an index beside it
    assert set(answer["key_bytes"]) == set(KINDS)
    assert all(size > 0 for size in answer["key_bytes"].values())


async def test_rate_4_the_plans_limiter_grows_with_denied_requests_and_ours_does_not(driver, tmp_path):
    _, ask = driver
    async with await start_standalone(tmp_path) as server:
        await ask({"redis_url": server.url})
        ours = [
            (await ask({"what": ["limit-full"], "first": 0, "last": 5, "each": each}))["key_bytes"]["limit-full"]
            for each in (100, 300)
        ]
        planned = [(await ask({"control": "plan-limit", "clients": 5, "each": each}))["bytes"] for each in (100, 400)]
    assert ours[1] == pytest.approx(ours[0], rel=0.02)
    assert planned[1] > 3 * planned[0]


async def test_it_ends_with_its_input_in_the_middle_of_its_work(driver, tmp_path):
    process, ask = driver
    async with await start_standalone(tmp_path) as server:
        await ask({"redis_url": server.url})
        process.stdin.write(json.dumps({"what": ["csrf"], "first": 0, "last": 5_000_000}).encode() + b"\n")
        await process.stdin.drain()
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 20) == 0
