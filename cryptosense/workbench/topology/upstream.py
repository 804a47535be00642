"""The run's handle on its simulated CoinGecko."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import aiohttp

from cryptosense.workbench.deployment import UpstreamPlan
from cryptosense.workbench.topology.instances import clean_environment
from cryptosense.workbench.topology.ports import HOST, free_port
from cryptosense.workbench.topology.process import ManagedProcess

_ANSWER = aiohttp.ClientTimeout(total=5.0)


class SimulatedUpstream(ManagedProcess):
    """Implements `deployment.Upstream`."""

    def __init__(self, plan: UpstreamPlan, *, folder: Path, seed: int = 20251008) -> None:
        self.port = free_port()
        low, high = plan.latency_ms
        program = [sys.executable, "-m", "cryptosense.workbench.topology.simulated_coingecko"]
        options = ["--port", str(self.port), "--latency-ms", str(low), str(high), "--seed", str(seed)]
        quota = ["--quota", str(plan.quota_per_minute or 0)]
        super().__init__("coingecko", [*program, *options, *quota], folder=folder, env=clean_environment())

    @property
    def url(self) -> str:
        """What the service gets as `COINGECKO_URL`."""
        return f"http://{HOST}:{self.port}/api/v3"

    @property
    def calls_url(self) -> str:
        return f"http://{HOST}:{self.port}/_control/calls"

    async def answers(self) -> bool:
        return any(line.startswith("ready ") for line in self.output().splitlines())

    async def calls(self) -> Mapping[str, int]:
        """Calls that it received so far, refused ones included, by path template."""
        return dict((await self.figures())["by_path"])

    async def calls_for(self, coins: Sequence[str]) -> int:
        """Calls for the list of just these coins, in any order."""
        async with (
            aiohttp.ClientSession(timeout=_ANSWER) as session,
            session.get(self.calls_url, params={"ids": ",".join(coins)}) as answer,
        ):
            answer.raise_for_status()
            return int((await answer.json())["calls"])

    async def figures(self) -> Mapping[str, Any]:
        """All that it counts: `calls`, `by_path`, `refused`, `concurrent_max`."""
        async with aiohttp.ClientSession(timeout=_ANSWER) as session, session.get(self.calls_url) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json()
            return found

    async def configure(
        self,
        *,
        latency_ms: tuple[int, int] | None = None,
        health: Literal["up", "failing", "hanging"] | None = None,
        quota_per_minute: int | None = None,
    ) -> None:
        """Changes what is given; a quota of 0 lifts it."""
        asked = {"latency_ms": latency_ms, "health": health, "quota_per_minute": quota_per_minute}
        body = {name: value for name, value in asked.items() if value is not None}
        url = f"http://{HOST}:{self.port}/_control/settings"
        async with aiohttp.ClientSession(timeout=_ANSWER) as session, session.post(url, json=body) as answer:
            answer.raise_for_status()
