"""How `load` goes about it: the plan's own test twice, then steady overload, then sweeps, from generator processes."""

import asyncio
import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence

from pydantic import Field, field_validator

from cryptosense.workbench.client import Wire
from cryptosense.workbench.client.addresses import addresses_available, own_addresses
from cryptosense.workbench.deployment import Deployment, DeploymentPlan, UpstreamPlan
from cryptosense.workbench.experiment import Lab, Parameters
from cryptosense.workbench.experiments.scenario import LONGEST_WINDOW_S
from cryptosense.workbench.history import SpanKind
from cryptosense.workbench.load import Ask, ClosedLoop, LoadClient, LoadPlan, LoadReport, OpenLoop, drive
from cryptosense.workbench.readings import watched_machine
from cryptosense.workbench.target import LimitProfile, TargetProfile
from cryptosense.workbench.targets.ceilings import run_meter

_NO_LIMIT = "1000000"
_SHARED = (
    "all requests come from one address here, and what was asked before stands in its window of {window:g} s: set one "
    f"of at most {LONGEST_WINDOW_S:g} s for the run"
)


class LoadParameters(Parameters):
    instances: int = Field(default=3, ge=1, le=16, description="service instances behind round robin")
    service: str = Field(default="reference", description="what is judged: the reference, or a control by name")
    users: int = Field(default=100, ge=1, description="users who come at once, as in the plan's load test")
    requests_each: int = Field(default=10, ge=1, description="requests of each of them")
    limit: int = Field(default=100, ge=2, description="admissions per window and client; the plan's is 100")
    window_s: float = Field(default=1.5, gt=0.2, description="length of the window in s; the plan's is 900")
    overload: float = Field(default=2.0, gt=1, description="what one client asks steadily, as a multiple of its limit")
    windows: float = Field(default=3.3, ge=3, description="how many windows the overload lasts")
    background: int = Field(default=8, ge=0, description="requests of others under way during the overload")
    concurrency: tuple[int, ...] = Field(default=(1, 8, 32), description="requests under way at a time, step by step")
    closed_s: float = Field(default=1.2, gt=0.2, description="length of each of those steps in s")
    rates: tuple[float, ...] = Field(default=(0.25, 0.5, 0.75), description="arrival rates, as shares of the best step")
    open_s: float = Field(default=1.6, gt=0.2, description="length of each of those steps in s")
    generators: int = Field(default=1, ge=1, le=16, description="processes that make the load")

    @field_validator("concurrency", "rates")
    @classmethod
    def _some(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        if len(steps) < 2 or min(steps) <= 0:
            raise ValueError("a sweep has two positive steps or more")
        return steps


def step_name(share: float) -> str:
    """The phase of an open-loop step."""
    return f"open {share:.0%}"


async def conduct_load(given: LoadParameters, lab: Lab) -> None:
    """One deployment with the limits under test, one whose limits do not get into the sweeps' way (LOAD-1)."""
    limits = {"RATE_LIMIT_API_MAX": str(given.limit), "RATE_LIMIT_API_WINDOW_MS": f"{given.window_s * 1000:.0f}"}
    async with watched_machine(lab.recorder), contextlib.AsyncExitStack() as stack:
        limited, open_to_all = await asyncio.gather(
            stack.enter_async_context(lab.deploy(_plan(given, "limited", limits))),
            stack.enter_async_context(lab.deploy(_plan(given, "unlimited", {"RATE_LIMIT_API_MAX": _NO_LIMIT}))),
        )
        async with Wire(limited.target, lab.recorder) as wire:
            for phase in ("crowd", "one address", "overload"):
                wire.declare(phase)
            reader = wire.caller("first reader", phase="warm-up")
            await reader.read_tokens(*limited.target.profile.cache.ids)
        await _Load(given, lab, limited).limits()
        async with Wire(open_to_all.target, lab.recorder) as wire:
            reader = wire.caller("first reader", phase="warm-up")
            await reader.read_tokens(*open_to_all.target.profile.cache.ids)
        await _Load(given, lab, open_to_all).sweeps()


def _plan(given: LoadParameters, label: str, settings: Mapping[str, str]) -> DeploymentPlan:
    """Users are told apart by address, as behind a load balancer that the services are told to believe."""
    return DeploymentPlan(
        label=label,
        service=given.service,
        instances=given.instances,
        upstream=UpstreamPlan(latency_ms=(200, 300)),  # so that an answer within the plan's 50 ms is a cached one
        settings={
            "TRUSTED_PROXIES": "127.0.0.0/8",
            "LOG_LEVEL": "warning",
            "TOKENS_TTL_S": "600",
            # A process that the machine stops for a moment must not look like a store that is away: what the insurance
            # admits then is `failover`'s to judge.
            "STATE_BUDGET_MS": "2000",
            **settings,
        },
    )


class _Load:
    """The phases on one deployment."""

    def __init__(self, given: LoadParameters, lab: Lab, deployment: Deployment) -> None:
        self._given = given
        self._lab = lab
        self._deployment = deployment
        cache = deployment.target.profile.cache
        self._path = cache.tokens.path.replace("{ids}", ",".join(cache.ids))
        self._identities = self._new_identities()

    def _new_identities(self) -> Iterator[LoadClient] | None:
        """Clients that the limiter tells apart; None where there is no way to have more than one."""
        target = self._deployment.target
        if not target.foreign:
            return (
                LoadClient(f"user-{number}", headers={"X-Forwarded-For": address})
                for number, address in enumerate(_public_addresses())
            )
        if addresses_available(target.urls):
            return (LoadClient(f"user-{number}", address=one) for number, one in enumerate(own_addresses()))
        return None

    def _clients(self, number: int) -> Sequence[LoadClient]:
        if self._identities is None:
            return [LoadClient("this machine")]
        return list(itertools.islice(self._identities, number))

    async def limits(self) -> None:
        """The plan's load test from users of their own and from one address, then one client over its limit."""
        given, lab = self._given, self._lab
        if self._identities is None:
            self._leave_out("crowd", "users cannot be told apart by address from here; run on Linux against loopback")
        else:
            lab.progress.phase("crowd", expected_seconds=2)
            crowd = ClosedLoop(given.users, requests_each=given.requests_each)
            await self._drive("crowd", "tokens.read", self._clients(given.users), crowd, 30.0)
        limit = self._deployment.target.profile.limits.get("api")
        if limit is None or limit.method != "GET":
            for phase in ("one address", "overload"):
                self._leave_out(phase, "provide [limits.api] with a path that GET may ask")
            return
        if not await self._budget_is_whole(limit):
            for phase in ("one address", "overload"):
                self._leave_out(phase, _SHARED.format(window=limit.window_s))
            return
        lab.progress.phase("one address", expected_seconds=2)
        one = ClosedLoop(given.users, requests_each=given.requests_each)
        await self._drive("one address", "limit.probe", self._clients(1), one, 30.0)
        seconds, granted = given.windows * limit.window_s, run_meter()
        if limit.window_s > LONGEST_WINDOW_S:
            self._leave_out("overload", f"it takes several windows: provide a limit of at most {LONGEST_WINDOW_S:g} s")
            return
        if granted is not None and not granted.allows(given.overload * limit.max / limit.window_s):
            self._leave_out("overload", "the ceiling on the rate is lower than the limit; raise it with --max-rate")
            return
        await self._budget_is_whole(limit)
        lab.progress.phase("overload", expected_seconds=seconds + 1)
        rate = OpenLoop(given.overload * limit.max / limit.window_s, arrivals="even")
        driven = [self._drive("overload", "limit.probe", self._clients(1), rate, seconds)]
        # Two loads at a time would each take the whole of what a stranger granted.
        if given.background and self._identities is not None and not self._deployment.target.foreign:
            others = self._clients(given.background)
            shape = ClosedLoop(given.background)
            driven.append(self._drive("background", "tokens.read", others, shape, seconds, spanned=False))
        await asyncio.gather(*driven)

    async def _budget_is_whole(self, limit: LimitProfile) -> bool:
        """Whether nothing asked before is in the window: a client of its own, or else a window waited out if short."""
        if self._identities is not None:
            return True
        if limit.window_s > LONGEST_WINDOW_S:
            return False
        self._lab.progress.phase("waiting for a whole window", expected_seconds=limit.window_s)
        await asyncio.sleep(limit.window_s)
        return True

    def _leave_out(self, phase: str, reason: str) -> None:
        self._lab.recorder.observe("skipped", 1.0, phase=phase, reason=reason)

    async def sweeps(self) -> None:
        """Ever more requests under way, then ever more arrivals, reckoned from the best of the first."""
        given, lab, best = self._given, self._lab, 1.0
        for concurrency in given.concurrency:
            phase = f"closed {concurrency}"
            lab.progress.phase(phase, expected_seconds=given.closed_s + 1)
            clients = self._clients(concurrency)
            report = await self._drive(phase, "tokens.read", clients, ClosedLoop(concurrency), given.closed_s)
            best = max(best, report.rate)
        for share in given.rates:
            phase = step_name(share)
            lab.progress.phase(phase, expected_seconds=given.open_s + 1)
            shape = OpenLoop(share * best)
            await self._drive(phase, "tokens.read", self._clients(64), shape, given.open_s, offered=share * best)

    async def _drive(
        self,
        phase: str,
        kind: str,
        clients: Sequence[LoadClient],
        shape: ClosedLoop | OpenLoop,
        seconds: float,
        *,
        spanned: bool = True,
        offered: float = 0.0,
    ) -> LoadReport:
        probed = _probed(self._deployment) or self._path
        plan = LoadPlan(
            phase,
            self._deployment.target.urls,
            clients,
            [Ask(kind, probed if kind == "limit.probe" else self._path, sent={"policy": "api"})],
            shape,
            seconds,
            keep=_told_headers(self._deployment.target.profile),
            code_field=self._deployment.target.profile.errors.code_field,
            codes=self._deployment.target.profile.errors.codes,
            processes=self._given.generators if phase.startswith(("closed", "open")) else 1,
            seed=self._given.seed,
        )
        recorder, granted = self._lab.recorder, run_meter() if self._deployment.target.foreign else None
        if granted is not None:
            recorder.observe("ceiling.rate", granted.rate, phase=phase)
        labels = {"offered": f"{offered:.6g}"} if offered else {}
        span = recorder.span(SpanKind.PHASE, phase, **labels) if spanned else contextlib.nullcontext()
        handed_over = contextlib.nullcontext() if granted is None else granted.handed_over()
        async with handed_over:
            with span:
                return await drive(plan, folder=self._lab.folder, recorder=recorder, progress=self._lab.progress)


def _probed(deployment: Deployment) -> str | None:
    """The path on which a stranger's limit is to be probed; ours limits the very list that is read."""
    limit = deployment.target.profile.limits.get("api")
    return limit.path if limit is not None and deployment.target.foreign else None


def _told_headers(profile: TargetProfile) -> dict[str, str]:
    """Which headers of an answer the checkers want, by the name that they have in the history."""
    limits = profile.limit_headers
    named = {"x_cache": profile.cache.outcome_header, "retry_after": limits.retry_after}
    named |= {"limit": limits.limit, "remaining": limits.remaining}
    return {name: header for name, header in named.items() if header}


def _public_addresses() -> Iterator[str]:
    for number in itertools.count():
        yield f"{20 + number // 64_516 % 60}.7.{number // 254 % 254 + 1}.{number % 254 + 1}"
