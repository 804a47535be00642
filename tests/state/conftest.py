"""Servers and backends for the tests of the state. Each server is started by the test run and belongs to it alone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest

from cryptosense.clock import ManualClock
from cryptosense.state.catalog import OpenState, Stage, StageSwitch, open_joined, open_memory, open_redis
from cryptosense.state.conformance import Subject
from cryptosense.state.redis import channel as channel_module
from cryptosense.state.redis.scripts import Script, scripts
from cryptosense.workbench.topology.cluster import ClusterStore, start_cluster
from cryptosense.workbench.topology.process import kill_together
from cryptosense.workbench.topology.sentinel import SentinelStore, start_sentinel
from cryptosense.workbench.topology.servers import Server, find_server, start_standalone

T = TypeVar("T")
REDIS_7 = Path("/usr/bin/redis-server")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs it on a thread of its own: a fixture may be asked for by a test whose loop is running already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


@dataclass(frozen=True)
class Address:
    """What the settings would say."""

    nodes: tuple[tuple[str, int], ...]
    kind: Literal["standalone", "sentinel", "cluster"] = "standalone"
    service: str | None = None
    username: str | None = None
    password: str | None = None
    db: int = 0
    tls: bool = False
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None


def address_of(server: Server, **options: Any) -> Address:
    return Address(nodes=(("127.0.0.1", server.port),), **options)


@dataclass
class Record:
    """An observer that remembers."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    differences: list[tuple[str, str]] = field(default_factory=list)

    def event(self, name: str, **fields: object) -> None:
        self.events.append((name, fields))

    def difference(self, service: str, kind: str) -> None:
        self.differences.append((service, kind))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = run(start_standalone(tmp_path_factory.mktemp("valkey")))
    yield server
    run(server.kill())


@pytest.fixture(scope="session")
def redis7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not REDIS_7.exists():
        pytest.skip(f"not installed: {REDIS_7}")
    server = run(start_standalone(tmp_path_factory.mktemp("redis7"), program=find_server(REDIS_7)))
    yield server
    run(server.kill())


@pytest.fixture(scope="session")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelStore]:
    store = run(start_sentinel(tmp_path_factory.mktemp("sentinel")))
    yield store
    run(kill_together(store.servers))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterStore]:
    store = run(start_cluster(tmp_path_factory.mktemp("cluster"), replicas=0))
    yield store
    run(kill_together(store.servers))


@pytest.fixture
def own_server(tmp_path: Path) -> Callable[..., Any]:
    """Starts a server for one test alone, which may freeze, kill or fill it."""

    @asynccontextmanager
    async def start(**options: Any) -> AsyncIterator[Server]:
        server = await start_standalone(tmp_path / "own", **options)
        try:
            yield server
        finally:
            await server.kill()

    return start


@asynccontextmanager
async def opened(address: Address, **options: Any) -> AsyncIterator[OpenState]:
    state = open_redis(address, **{"budget_ms": 5_000, **options})
    try:
        assert await state.wait_ready(15)
        yield state
    finally:
        await state.close()


async def sleep_ms(milliseconds: int) -> None:
    await asyncio.sleep(milliseconds / 1000)


@asynccontextmanager
async def memory_subject() -> AsyncIterator[Subject]:
    clock = ManualClock()
    state = open_memory(clock)

    async def pass_time(milliseconds: int) -> None:
        clock.advance(milliseconds / 1000)

    yield Subject(state.state, pass_time, exact=True)


@asynccontextmanager
async def joined_subject(address: Address, stage: Stage, observer: Record) -> AsyncIterator[Subject]:
    switch = StageSwitch(stage)
    async with opened(address) as redis:
        clock = ManualClock()
        joined = open_joined(open_memory(clock), redis, switch, observer)

        async def pass_time(milliseconds: int) -> None:
            clock.advance(milliseconds / 1000)
            await sleep_ms(milliseconds)

        yield Subject(joined.state, pass_time, exact=False)


@pytest.fixture
def frozen_redis(valkey: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Redis with a clock that moves when told to: each script reads a key of the test where it would ask `TIME`."""
    bodies = {
        name: Script(name, script.body.replace(b"redis.call('TIME')", b"redis.call('LRANGE', 'frozen-clock', 0, 1)"))
        for name, script in scripts().items()
    }
    monkeypatch.setattr(channel_module, "scripts", lambda: bodies)

    @asynccontextmanager
    async def start() -> AsyncIterator[Subject]:
        now_ms = 1_700_000_000_000
        async with valkey.client() as client, opened(address_of(valkey)) as state:

            async def pass_time(milliseconds: int) -> None:
                nonlocal now_ms
                now_ms += milliseconds
                async with client.pipeline(transaction=True) as pipe:
                    pipe.delete("frozen-clock")
                    pipe.rpush("frozen-clock", now_ms // 1000, now_ms % 1000 * 1000)
                    await pipe.execute()

            await pass_time(0)
            yield Subject(state.state, pass_time, exact=True)

    return start


@pytest.fixture
def tools() -> Any:
    """The helpers above for the test modules, which are no package."""

    class Tools:
        Address = Address
        address_of = staticmethod(address_of)
        opened = staticmethod(opened)
        memory_subject = staticmethod(memory_subject)
        joined_subject = staticmethod(joined_subject)
        sleep_ms = staticmethod(sleep_ms)

    return Tools
