"""A deployment that the run did not start: what its owner lets us do with it, as the run's handles."""

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit

import httpx

from cryptosense.errors import CouldNotStart, UsageError
from cryptosense.workbench.deployment import Capability, Instance, Store
from cryptosense.workbench.target import Target, TargetProfile
from cryptosense.workbench.targets.ceilings import within_ceilings
from cryptosense.workbench.targets.hooks import run_hook

ANSWER_TIMEOUT_S = 5.0


class CountedUpstream:
    """The upstream's own call count, read at the URL that the owner named."""

    def __init__(self, calls_url: str, profile: TargetProfile) -> None:
        self._url = calls_url
        self._profile = profile

    async def calls(self) -> Mapping[str, int]:
        """All calls so far, under the one key `total`.

        Raises:
            CouldNotStart: the URL does not answer a number or `{"calls": n}`.
        """
        try:
            async with within_ceilings(foreign=True), httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S) as client:
                answer = (await client.get(self._url)).raise_for_status().json()
            return {"total": int(answer["calls"] if isinstance(answer, dict) else answer)}
        except (httpx.HTTPError, ValueError, TypeError, KeyError) as error:
            raise CouldNotStart(f'{self._url} does not answer a number or {{"calls": n}}: {error}') from None

    async def calls_for(self, coins: Sequence[str]) -> int:
        """All calls: which list each was for is not told here."""
        del coins
        return (await self.calls())["total"]

    async def configure(
        self,
        *,
        latency_ms: tuple[int, int] | None = None,
        health: Literal["up", "failing", "hanging"] | None = None,
        quota_per_minute: int | None = None,
    ) -> None:
        """Runs the owner's command for a slow upstream, or the one that undoes it.

        Raises:
            UsageError: the profile has no command for what is asked.
        """
        upstream = self._profile.upstream
        if health is not None or quota_per_minute is not None:
            raise UsageError("this upstream's health and quota cannot be set from here")
        command = upstream.slow_command if latency_ms is not None else upstream.heal_command
        if command is None:
            raise UsageError("provide [upstream] slow_command and heal_command to have the upstream slowed down")
        await run_hook(command)


class ForeignDeployment:
    """Somebody's deployment, seen from outside. It has no processes and no store that the run may touch."""

    label = "target"

    def __init__(self, target: Target) -> None:
        self.target = target
        self.upstream = (
            CountedUpstream(target.profile.upstream.calls_url, target.profile)
            if target.profile.upstream.calls_url
            else None
        )

    @property
    def capabilities(self) -> frozenset[Capability]:
        profile = self.target.profile
        granted = {
            Capability.RESTART: profile.hooks.restart is not None,
            Capability.FAULTS: bool(set(profile.hooks.fault) & set(profile.hooks.heal)),
            Capability.UPSTREAM_COUNT: profile.upstream.calls_url is not None,
            Capability.UPSTREAM_CONTROL: None not in (profile.upstream.slow_command, profile.upstream.heal_command),
            Capability.ADDRESSES: sys.platform == "linux" and all(_on_loopback(url) for url in self.target.urls),
        }
        return frozenset(capability for capability, there in granted.items() if there)

    @property
    def instances(self) -> Sequence[Instance]:
        return ()

    @property
    def store(self) -> Store | None:
        return None

    async def switch_stage(self, stage: str) -> None:
        raise UsageError(f"the migration stage of a deployment that is not ours cannot be set (asked for: {stage})")


@asynccontextmanager
async def open_target(target: Target) -> AsyncIterator[ForeignDeployment]:
    """The deployment, once every address answered its health route with anything at all.

    Raises:
        CouldNotStart: an address does not answer.
    """
    route = target.profile.health.health
    async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S) as client:
        for url in target.urls:
            try:
                await client.request(route.method, url.rstrip("/") + route.path)
            except httpx.HTTPError as error:
                raise CouldNotStart(f"{url} does not answer: {error or type(error).__name__}") from None
    yield ForeignDeployment(target)


def _on_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "localhost" or host.startswith("127.")
