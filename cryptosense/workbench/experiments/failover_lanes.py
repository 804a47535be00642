"""Who uses the service while its store fails: each lane asks for one thing over and over, from clients of its own.

The lanes of one scenario run side by side from before the fault until after the cure; what they record carries the
scenario's name as its phase.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

import aiohttp

from cryptosense.workbench.client import Caller, Wire
from cryptosense.workbench.deployment import Store
from cryptosense.workbench.history import Recorder
from cryptosense.workbench.target import Route, Target
from cryptosense.workbench.targets.ceilings import within_ceilings
from cryptosense.workbench.topology.servers import Server

_PROBE_S = 0.3
_READING_EVERY_S = 0.1
_PROBERS = 3
"""Tasks that share the probing, since an outage slows each request and a limit shows only where much is asked."""

Step = Callable[[], Awaitable[None]]


class CsrfLane:
    """One session that rotates its token again and again, and replays each used token once.

    Its requests go one after the other, so that its answers are a chain and a lost write shows. Its writes come to
    every instance in turn, beginning with the `first`, and each used token to the instance after.
    """

    def __init__(self, caller: Caller, instances: Sequence[str], *, first: int) -> None:
        self._caller = caller
        self._instances = itertools.islice(itertools.cycle(instances), first, None)
        self._here = next(self._instances)

    def begin(self, phase: str) -> None:
        self._caller.phase, self._caller.token = phase, None

    async def step(self) -> None:
        caller, here = self._caller, self._here
        if caller.token is None:
            await caller.fetch_csrf(instance=here)
            return
        used = caller.token
        self._here = next(self._instances)
        reply = await caller.post_csrf(instance=here)
        if reply.status == 403:
            caller.token = None  # asks again, as a browser client does
        elif reply.successor is not None:
            replay = await caller.post_csrf(token=used, keep=False, sent={"replay": True}, instance=self._here)
            if replay.successor is not None:
                caller.token = None  # the thief holds the newest token now

    async def settle(self) -> None:
        """Asks what the session holds until an answer comes, at most ten times."""
        for _ in range(10):
            if (await self._caller.fetch_csrf()).status == 200:
                return
            await asyncio.sleep(0.2)


class Lanes:
    """All lanes of a deployment; accounts are made once and used in every scenario."""

    def __init__(self, wire: Wire, *, sessions: int, post_every_s: float, probe_every_s: float) -> None:
        self._wire = wire
        self._sessions = sessions
        self._post_every_s = post_every_s
        self._probe_every_s = probe_every_s
        self._writers: list[CsrfLane] = []
        self._visitors: list[Caller] = []

    async def open(self) -> None:
        """Signs everybody up."""
        callers = [await self._wire.account(f"writer-{number}", phase="accounts") for number in range(self._sessions)]
        urls = self._wire.target.urls
        self._writers = [CsrfLane(caller, urls, first=place) for place, caller in enumerate(callers)]
        self._visitors = [await self._wire.account("member", phase="accounts"), self._wire.caller("reader")]

    @contextlib.asynccontextmanager
    async def running(self, phase: str) -> AsyncIterator[None]:
        """Runs every lane until the block ends, then asks each session what it holds."""
        member, reader = self._visitors
        hot = self._wire.caller(f"hot {phase}", phase=phase)
        member.phase = reader.phase = phase
        coins = self._wire.target.profile.cache
        probe = Route(path=coins.tokens.path.replace("{ids}", coins.ids[0]))

        async def probe_limit() -> None:
            await hot.ask("limit.probe", probe, bearer=False, sent={"policy": "api"})

        async def read_tokens() -> None:
            await reader.read_tokens(*coins.ids)

        async def use_session() -> None:
            await member.use_session()

        for writer in self._writers:
            writer.begin(phase)
        # Spread over the pace: whoever comes next finds out when the store is back, and not all at one moment.
        paces = [
            _Pace(writer.step, self._post_every_s, place / len(self._writers))
            for place, writer in enumerate(self._writers)
        ]
        paces += [_Pace(read_tokens, 0.25, 0.0), _Pace(use_session, 0.25, 0.5)]
        if not self._wire.target.foreign:  # a stranger's limit is not the one that the run plans with
            paces += [_Pace(probe_limit, self._probe_every_s * _PROBERS, place / _PROBERS) for place in range(_PROBERS)]
        over = asyncio.Event()
        tasks = [asyncio.create_task(_keep(pace, over)) for pace in paces]
        try:
            yield
        finally:
            over.set()
            await asyncio.gather(*tasks)
        await asyncio.gather(*(writer.settle() for writer in self._writers))


class _Pace(NamedTuple):
    """A step every so often, the first one after that share of the pause."""

    step: Step
    every_s: float
    first: float


async def _keep(pace: _Pace, over: asyncio.Event) -> None:
    """Takes the step at its pace until it is over; a slow answer delays the next step instead of piling them up."""
    loop = asyncio.get_running_loop()
    due = loop.time() + pace.first * pace.every_s
    while not await _over_by(due, over):
        due = loop.time() + pace.every_s
        await pace.step()


async def _over_by(moment: float, over: asyncio.Event) -> bool:
    """Waits until then, or until it is over; whether it is."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(moment):
            await over.wait()
    return over.is_set()


@contextlib.asynccontextmanager
async def watched_store(recorder: Recorder, store: Store | None, target: Target, phase: str) -> AsyncIterator[None]:
    """Reads `store.answers` and every instance's `ready.degraded` all the while."""
    watches = [asyncio.create_task(_watch_ready(recorder, url, target, phase)) for url in target.urls]
    if store is not None:
        watches.append(asyncio.create_task(_watch_store(recorder, store, phase)))
    try:
        yield
    finally:
        await _ended(watches)


async def _watch_store(recorder: Recorder, store: Store, phase: str) -> None:
    while True:
        recorder.observe("store.answers", float(await store_answers(store)), phase=phase)
        await asyncio.sleep(_READING_EVERY_S / 2)


async def store_answers(store: Store) -> bool:
    """Whether the store's primary answers as one that takes writes, asked with a client of the workbench's own."""
    return await _takes_writes(store.info)


async def acts_as_primary(server: Server) -> bool:
    """Whether this one server takes writes; one that has been replaced does so until it hears of it."""
    return await _takes_writes(server.info)


async def _takes_writes(info: Callable[[str], Coroutine[Any, Any, Mapping[str, str]]]) -> bool:
    asking = asyncio.create_task(info("replication"))
    # Not cancelled when it is late: the store's clients end by themselves, after seconds that nobody has here.
    await asyncio.wait({asking}, timeout=_PROBE_S)
    if not asking.done():
        asking.add_done_callback(_looked_at)
        return False
    try:
        replication = asking.result()
    except Exception:  # noqa: BLE001 (whatever the driver makes of a dead server, the answer is no)
        return False
    # Told only where writes need replicas: with none of them a primary refuses every write (NOREPLICAS).
    return replication.get("role") == "master" and replication.get("min_slaves_good_slaves") != "0"


def _looked_at(asked: "asyncio.Task[Mapping[str, str]]") -> None:
    """Or asyncio complains of an error that nobody took."""
    if not asked.cancelled():
        asked.exception()


async def _watch_ready(recorder: Recorder, url: str, target: Target, phase: str) -> None:
    route = target.profile.health.ready
    if route is None:
        return
    timeout = aiohttp.ClientTimeout(total=1.0)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            degraded, labels = 1.0, {"answered": "no"}
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
                async with (
                    within_ceilings(foreign=target.foreign),
                    session.get(url.rstrip("/") + route.path) as answer,
                ):
                    body = await answer.json(content_type=None)
                    degraded = float(answer.status != 200 or bool(isinstance(body, dict) and body.get("degraded")))
                    labels = {}
            recorder.observe("ready.degraded", degraded, phase=phase, instance=url, **labels)
            await asyncio.sleep(_READING_EVERY_S)


async def _ended(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
