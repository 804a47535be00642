"""How `soak` goes about it: visitors whom nobody has seen before, one after the other, at two services side by side.

A visitor is an address that comes once. It reaches the service as it would behind a load balancer: over few kept
connections, named in `X-Forwarded-For`, which the run's own services are told to believe of loopback. After
each visitor a client that is over its limit is denied again, and beside them an account signs in, uses its CSRF
token, and signs out.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping

import aiohttp
from pydantic import Field

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.client import Caller, Wire
from cryptosense.workbench.deployment import Deployment, DeploymentPlan, UpstreamPlan
from cryptosense.workbench.experiment import Lab, Parameters
from cryptosense.workbench.history import Operation, Outcome, SpanKind
from cryptosense.workbench.readings import processes, service_counter, store_memory, watched_machine

REFERENCE, CONTROL = "reference", "leaking control"
LEAKING_SERVICE = "memory-leak"
WARM_UP = "warm-up"
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)


class SoakParameters(Parameters):
    instances: int = Field(default=1, ge=1, le=8, description="instances of the judged service")
    service: str = Field(default="reference", description="what is judged: the reference, or a control by name")
    warm_visitors: int = Field(
        default=5000, ge=0, description="visitors before the reading begins: bounded caches fill"
    )
    seconds: float = Field(default=9.0, ge=3, description="length of the reading in s")
    least_visitors: int = Field(
        default=2000, ge=0, description="visitors that the reading waits for, up to three times its length"
    )
    at_once: int = Field(default=8, ge=1, description="visits under way at a time")
    denials: int = Field(default=1, ge=0, description="requests over the limit that come with each visitor")
    read_every_s: float = Field(default=0.25, gt=0, description="pause between two readings in s")
    with_control: bool = Field(
        default=True, description="run a service that leaks beside it, to show that a leak shows"
    )
    control_warm_visitors: int = Field(
        default=300, ge=0, description="visitors of the leaking service before it is read"
    )
    rss_margin: float = Field(
        default=1024.0, gt=0, description="bytes of process memory per visitor that count as flat"
    )
    store_margin: float = Field(default=64.0, gt=0, description="bytes of Redis memory per visitor that count as flat")
    handle_margin: float = Field(
        default=0.02, gt=0, description="descriptors, or tasks, per visitor that count as flat"
    )


async def conduct_soak(given: SoakParameters, lab: Lab) -> None:
    """Brings both services up, sends them visitors at the same time, and reads what they hold meanwhile."""
    async with watched_machine(lab.recorder), contextlib.AsyncExitStack() as stack:
        services = [(REFERENCE, given.service, given.instances, given.at_once, given.warm_visitors)]
        if given.with_control:
            services.append((CONTROL, LEAKING_SERVICE, 1, 1, given.control_warm_visitors))
        opened = [_opened(lab, stack, phase, service, instances) for phase, service, instances, _, _ in services]
        deployments = await asyncio.gather(*opened)
        if deployments[0] is not None and deployments[0].target.foreign:
            for phase in (REFERENCE, CONTROL):
                reason = "what the processes of a deployment that is not ours hold cannot be read, so nothing was sent"
                lab.recorder.observe("skipped", 1.0, phase=phase, reason=reason)
            return
        lab.progress.phase("warm-up and reading", expected_seconds=given.seconds + given.warm_visitors / 700)
        await asyncio.gather(
            *(
                _soak(given, lab, deployment, phase, at_once=at_once, warm=warm)
                for deployment, (phase, _, _, at_once, warm) in zip(deployments, services, strict=True)
                if deployment is not None
            )
        )


async def _opened(
    lab: Lab, stack: contextlib.AsyncExitStack, phase: str, service: str, instances: int
) -> Deployment | None:
    plan = DeploymentPlan(
        label=phase.replace(" ", "-"),
        service=service,
        instances=instances,
        upstream=UpstreamPlan(latency_ms=(20, 60)),
        settings={
            "TRUSTED_PROXIES": "127.0.0.0/8",
            "RATE_LIMIT_API_WINDOW_MS": "1500",
            "RATE_LIMIT_AUTH_MAX": "100000",
            "PASSWORD_MEMORY_KIB": "1024",
            "PASSWORD_ROUNDS": "1",
            "LOG_LEVEL": "warning",
        },
    )
    try:
        return await stack.enter_async_context(lab.deploy(plan))
    except CouldNotStart as error:
        if phase == REFERENCE:
            raise
        reason = str(error).partition("\n")[0]
        lab.recorder.observe("skipped", 1.0, phase=phase, reason=f"the control did not start: {reason}")
        return None


async def _soak(
    given: SoakParameters, lab: Lab, deployment: Deployment, phase: str, *, at_once: int, warm: int
) -> None:
    async with (
        Wire(deployment.target, lab.recorder) as wire,
        _Visitors(lab, deployment, seed=given.seed, denials=given.denials) as visitors,
    ):
        visitors.denied = await wire.account(f"over the limit of {phase}", phase="accounts")
        async with _accounts(lab, deployment, WARM_UP):  # what every path allocates once is no growth
            await visitors.come(WARM_UP, at_once=at_once, turns=iter(range(warm)))
        over = asyncio.Event()
        with lab.recorder.span(SpanKind.PHASE, phase):
            reading = asyncio.create_task(_read(given, lab, deployment, phase, over))
            try:
                async with asyncio.timeout(3 * given.seconds), _accounts(lab, deployment, phase):
                    least = given.least_visitors if phase == REFERENCE else 0
                    await visitors.come(phase, at_once=at_once, turns=_for(given.seconds, least=least))
            except TimeoutError:
                pass  # so few came that a longer wait would not be worth it
            finally:
                over.set()
                await reading


async def _read(given: SoakParameters, lab: Lab, deployment: Deployment, phase: str, over: asyncio.Event) -> None:
    """Sweeps over everything that could grow, until it is over."""
    own = processes(lab.recorder, deployment.instances, phase=phase)
    memory = store_memory(lab.recorder, deployment.store, phase=phase)
    await asyncio.sleep(2 * given.read_every_s)  # until the accounts are under way too
    counting: asyncio.Future[None] | None = None
    for sweep in itertools.count():
        own(sweep)
        await memory(sweep)
        if counting is None or counting.done():  # a service at its limit tells its own figures late
            tasks = service_counter(
                lab.recorder, deployment.target, "cryptosense_tasks", "process.tasks", phase=phase, sweep=str(sweep)
            )
            counting = asyncio.ensure_future(tasks())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(given.read_every_s):
                await over.wait()
        if over.is_set():
            await counting
            return


class _Visitors:
    """Visits from addresses that come once each."""

    def __init__(self, lab: Lab, deployment: Deployment, *, seed: int, denials: int) -> None:
        self._lab = lab
        self._denials = denials
        cache = deployment.target.profile.cache
        self._path = cache.tokens.path.replace("{ids}", ",".join(cache.ids))
        self._strict = deployment.target.profile.limits["strict"]
        self._instances = itertools.cycle([url.rstrip("/") for url in deployment.target.urls])
        self.denied: Caller | None = None
        self._addresses = _addresses(seed)
        self._session: aiohttp.ClientSession | None = None

    async def come(self, phase: str, *, at_once: int, turns: Iterator[int]) -> None:
        """Visits, so many at a time, one for each turn."""

        async def visit_on() -> None:
            for _ in turns:
                await self._ask("visit", phase, "GET", self._path, {"X-Forwarded-For": next(self._addresses)})
                if self.denied is None or phase == WARM_UP:
                    continue
                bearer = {"Authorization": f"Bearer {self.denied.credentials.bearer}"}
                for _ in range(self._denials):
                    await self._ask("denied", phase, self._strict.method, self._strict.path, bearer)

        await asyncio.gather(*(visit_on() for _ in range(at_once)))

    async def _ask(self, kind: str, phase: str, method: str, path: str, headers: Mapping[str, str]) -> None:
        if self._session is None:
            raise CouldNotStart("the visitors' connections are closed")
        recorder, instance = self._lab.recorder, next(self._instances)
        begun, status, outcome = recorder.now(), None, Outcome.UNKNOWN
        try:
            async with self._session.request(method, instance + path, headers=headers) as answer:
                await answer.read()
                status = answer.status
                outcome = Outcome.OK if status < 400 else Outcome.FAILED
        except (aiohttp.ClientError, TimeoutError):
            pass  # recorded as unknown
        actor = headers.get("X-Forwarded-For", "over the limit")
        number, ended = recorder.next_id(), recorder.now()
        recorder.record(Operation(number, kind, actor, instance, begun, ended, outcome, status, phase))
        self._lab.progress.advance(1)

    async def __aenter__(self) -> "_Visitors":
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()


def _for(seconds: float, *, least: int) -> Iterator[int]:
    """Turns until the time is over, and at least so many."""
    until = time.monotonic() + seconds
    return itertools.takewhile(lambda turn: turn < least or time.monotonic() < until, itertools.count())


def _addresses(seed: int) -> Iterator[str]:
    """Public addresses, none twice."""
    number = random.Random(seed).randrange(1 << 20)
    for turn in itertools.count(number):
        yield f"{11 + turn // 16_387_064 % 80}.{turn // 64_516 % 254 + 1}.{turn // 254 % 254 + 1}.{turn % 254 + 1}"


@contextlib.asynccontextmanager
async def _accounts(lab: Lab, deployment: Deployment, phase: str) -> AsyncIterator[None]:
    """People who sign in, use their CSRF token and sign out again, all the while."""
    async with Wire(deployment.target, lab.recorder) as wire:
        member = await wire.account(f"member of {phase}", phase=f"{phase}, accounts")

        async def come_and_go() -> None:
            while True:
                await member.login()
                await member.fetch_csrf()
                await member.post_csrf()
                await member.logout()
                await asyncio.sleep(0.2)

        coming = asyncio.create_task(come_and_go())
        try:
            yield
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
