"""The plan as Locust carries it out, in Locust's own process."""

import asyncio
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from cryptosense.workbench.load import Ask, ClosedLoop, LoadClient, LoadPlan, OpenLoop
from cryptosense.workbench.load.distributed import rate_of_a_user, users
from cryptosense.workbench.topology.ports import free_port
from cryptosense.workbench.topology.process import ManagedProcess

pytestmark = pytest.mark.skipif(find_spec("locust") is None, reason="needs the extra `distributed`")

SERVICE = Path(__file__).parent / "service.py"
LOCUSTFILE = Path(__file__).parents[3] / "cryptosense" / "workbench" / "load" / "distributed.py"


class BareService(ManagedProcess):
    async def answers(self):
        return "ready" in self.output()


def run_locust(plan):
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--json", "--skip-log-setup"]
    environ = {**os.environ, "CRYPTOSENSE_LOAD_PLAN": str(plan)}
    told = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr
    return told.stdout


async def test_locust_sends_what_the_plan_says(tmp_path):
    port = free_port()
    asks = (
        Ask("bare.read", "/", weight=1),
        Ask("csrf.post", "/post", "POST", {"name": "{nonce}"}, weight=1, csrf=True),
    )
    clients = (LoadClient("a", token="first"), LoadClient("b"))
    shape = ClosedLoop(2, requests_each=10)
    plan = LoadPlan("steady", (f"http://127.0.0.1:{port}",), clients, asks, shape, seconds=4)
    path = tmp_path / "plan.json"
    path.write_text(plan.to_json())
    async with BareService("bare", [sys.executable, str(SERVICE), "--port", str(port)], folder=tmp_path) as service:
        await service.start()
        told = await asyncio.to_thread(run_locust, path)
    figures = {entry["name"]: entry for entry in json.loads(told)}
    assert set(figures) == {"bare.read", "csrf.post"}
    assert sum(entry["num_requests"] for entry in figures.values()) == 20
    assert sum(entry["num_failures"] for entry in figures.values()) == 0


def test_an_open_loop_is_shared_among_the_users():
    clients = tuple(LoadClient(f"c{index}") for index in range(4))
    plan = LoadPlan("open", ("http://x",), clients, (Ask("a", "/"),), OpenLoop(100), seconds=1)
    assert users(plan) == 4
    assert rate_of_a_user(plan) == 25
    assert rate_of_a_user(LoadPlan("c", ("http://x",), clients, (Ask("a", "/"),), ClosedLoop(7), seconds=1)) is None
