"""Figures read off a run while it goes on: counters of the service and the upstream, processes, the machine itself.

Each reading is an observation of the history. A deployment that does not tell a figure leaves no observation of it,
and the claims that need it are UNDECIDED.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import aiohttp
import psutil

from cryptosense.workbench.deployment import Deployment, Instance, Store
from cryptosense.workbench.history import Recorder, SpanKind
from cryptosense.workbench.target import Target
from cryptosense.workbench.targets.ceilings import within_ceilings

_TIMEOUT = aiohttp.ClientTimeout(total=3.0)
_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?P<labels>\{[^}]*\})? (?P<value>\S+)", re.MULTILINE)

_BUFFERS = ("mem_clients_normal", "mem_clients_slaves", "mem_replication_backlog", "mem_aof_buffer")

Reading = Callable[[], Awaitable[None]]


@contextlib.asynccontextmanager
async def counted_phase(recorder: Recorder, name: str, *readings: Reading) -> AsyncIterator[None]:
    """A phase with every reading taken right after it begins and right before it ends."""
    with recorder.span(SpanKind.PHASE, name):
        for read in readings:
            await read()
        yield
        for read in readings:
            await read()


def upstream_calls(recorder: Recorder, deployment: Deployment, coins: Sequence[str]) -> Reading:
    """Reads `upstream.calls`: how often the upstream itself says that it was asked for the list of these coins.

    A service may refresh other lists meanwhile. A foreign upstream that tells no lists apart tells its total.
    """

    async def read() -> None:
        if deployment.upstream is not None:
            recorder.observe("upstream.calls", await deployment.upstream.calls_for(coins), coins=",".join(coins))

    return read


def service_counter(recorder: Recorder, target: Target, metric: str, name: str, **labels: str) -> Reading:
    """Reads the Prometheus figure `metric` of every instance, its labels summed, as observation `name`."""
    route = target.profile.health.metrics

    async def read() -> None:
        if route is None:
            return
        asked = (_text_at(url.rstrip("/") + route.path, foreign=target.foreign) for url in target.urls)
        pages = await asyncio.gather(*asked)
        for url, page in zip(target.urls, pages, strict=True):
            value = None if page is None else sample_of(page, metric)
            if value is not None:
                recorder.observe(name, value, instance=url, **labels)

    return read


def sample_of(page: str, metric: str) -> float | None:
    """The metric's value on a page in Prometheus text format, summed over its labels; None where it is not there."""
    values = [float(found["value"]) for found in _SAMPLE.finditer(page) if found["name"] == metric]
    return sum(values) if values else None


async def _text_at(url: str, *, foreign: bool) -> str | None:
    try:
        async with (
            within_ceilings(foreign=foreign),
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.get(url) as answer,
        ):
            return await answer.text() if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None


def processes(recorder: Recorder, instances: Sequence[Instance], *, phase: str) -> Callable[[int], None]:
    """A function that reads `process.rss` (bytes) and `process.descriptors` of every instance as sweep number n."""
    known = {instance.name: psutil.Process(instance.pid) for instance in instances}

    def read(sweep: int) -> None:
        for name, process in known.items():
            with contextlib.suppress(psutil.Error):
                labels = {"process": name, "phase": phase, "sweep": str(sweep)}
                with process.oneshot():
                    recorder.observe("process.rss", process.memory_info().rss, **labels)
                    recorder.observe("process.descriptors", process.num_fds(), **labels)

    return read


def store_memory(recorder: Recorder, store: Store | None, *, phase: str) -> Callable[[int], Awaitable[None]]:
    """A function that reads `store.memory`, the bytes that the primary uses for data and its own, as sweep number n.

    Connections' buffers are left out: they follow the load and not what is kept.
    """

    async def read(sweep: int) -> None:
        if store is not None:
            memory = await store.info("memory")
            buffers = sum(int(memory.get(name, 0)) for name in _BUFFERS)
            recorder.observe("store.memory", int(memory["used_memory"]) - buffers, phase=phase, sweep=str(sweep))

    return read


@contextlib.asynccontextmanager
async def watched_machine(recorder: Recorder, *, every_s: float = 0.5) -> AsyncIterator[None]:
    """Reads `machine.foreign_cpu` all the while: the share of all processors that programs outside the run took.

    The run's own are this process and everything below it. Time that a hypervisor gave to others counts as foreign.
    """
    watch = asyncio.create_task(_watch(recorder, every_s))
    try:
        yield
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch


async def _watch(recorder: Recorder, every_s: float) -> None:
    cores = psutil.cpu_count() or 1
    own_before, busy_before, at_before = _own_cpu(), _busy_cpu(), recorder.now()
    while True:
        await asyncio.sleep(every_s)
        own, busy, at = _own_cpu(), _busy_cpu(), recorder.now()
        ours = sum(spent - own_before.get(pid, 0.0) for pid, spent in own.items())
        foreign = (busy - busy_before - ours) / (cores * max(at - at_before, 1e-9))
        recorder.observe("machine.foreign_cpu", min(1.0, max(0.0, foreign)))
        own_before, busy_before, at_before = own, busy, at


def _busy_cpu() -> float:
    """Seconds that all processors together have been busy; guests are counted within user time."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + getattr(times, "irq", 0.0) + getattr(times, "steal", 0.0))


def _own_cpu() -> dict[int, float]:
    """Seconds of processor time by process, of this one and all below it."""
    spent: dict[int, float] = {}
    own = psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            spent[process.pid] = times.user + times.system
    return spent
