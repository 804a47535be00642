"""The stores of a deployment: what the run started, or what the user named."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from cryptosense.errors import UsageError
from cryptosense.workbench.deployment import DeploymentPlan, StoreKind
from cryptosense.workbench.topology.cluster import start_cluster
from cryptosense.workbench.topology.given import GivenStore
from cryptosense.workbench.topology.link import Link
from cryptosense.workbench.topology.ports import HOST
from cryptosense.workbench.topology.process import kill_together, start_together
from cryptosense.workbench.topology.sentinel import start_sentinel
from cryptosense.workbench.topology.servers import Server, standalone


class OwnStore(Protocol):
    """A store whose every server the run started; refines `deployment.Store` by what faults need."""

    @property
    def kind(self) -> StoreKind: ...

    @property
    def url(self) -> str: ...

    @property
    def redacted(self) -> str: ...

    @property
    def servers(self) -> Sequence[Server]:
        """Every server process, sentinels included."""
        ...

    @property
    def data_servers(self) -> Sequence[Server]:
        """Primaries and replicas."""
        ...

    @property
    def link(self) -> Link | None:
        """The wire that the service's connections take, where the plan asked for one."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings with which a service finds this store."""
        ...

    async def primary(self) -> Server: ...

    async def info(self, section: str = "default") -> Mapping[str, str]: ...


class SingleStore:
    """One server, with a link before it where the plan asks for one."""

    def __init__(self, server: Server, *, kind: StoreKind, link: Link | None = None) -> None:
        self.kind = kind
        self.server = server
        self.link = link

    @property
    def servers(self) -> Sequence[Server]:
        return (self.server,)

    @property
    def data_servers(self) -> Sequence[Server]:
        return (self.server,)

    @property
    def url(self) -> str:
        return self._address(f":{quote(self.server.password, safe='')}@" if self.server.password else "")

    @property
    def redacted(self) -> str:
        return self._address(":***@" if self.server.password else "")

    @property
    def environment(self) -> Mapping[str, str]:
        found = {"REDIS_URL": self.url}
        if self.server.certificates is not None:
            found |= {
                "REDIS_TLS_CA": str(self.server.certificates.authority),
                "REDIS_TLS_CERT": str(self.server.certificates.certificate),
                "REDIS_TLS_KEY": str(self.server.certificates.key),
            }
        return found

    async def primary(self) -> Server:
        return self.server

    async def info(self, section: str = "default") -> Mapping[str, str]:
        return await self.server.info(section)

    def _address(self, secret: str) -> str:
        scheme = "rediss" if self.server.certificates else "redis"
        return f"{scheme}://{secret}{HOST}:{self.link.port if self.link else self.server.port}"


@asynccontextmanager
async def open_store(
    plan: DeploymentPlan, folder: Path, *, given: str | None
) -> AsyncIterator[OwnStore | GivenStore | None]:
    """The store that the plan asks for, or the one at the URL `given` in its place; None for `StoreKind.NONE`.

    Raises:
        CouldNotStart: a server did not come up.
        UsageError: the plan asks for what cannot be.
    """
    if plan.store is StoreKind.NONE:
        yield None
    elif given is not None or plan.store is StoreKind.GIVEN:
        async with _given(given) as store:
            yield store
    elif plan.store in (StoreKind.STANDALONE, StoreKind.STANDALONE_AOF):
        async with _single(plan, folder) as single:
            yield single
    else:
        if plan.proxied:
            raise UsageError("a link that can be cut goes before one server; Sentinel and Cluster announce addresses")
        async with _many(plan.store, folder) as many:
            yield many


@asynccontextmanager
async def _given(url: str | None) -> AsyncIterator[GivenStore]:
    if url is None:
        raise UsageError("no server was given; name one with --redis-url")
    store = GivenStore(url)
    try:
        yield store
    finally:
        await store.remove_own_keys()


@asynccontextmanager
async def _single(plan: DeploymentPlan, folder: Path) -> AsyncIterator[SingleStore]:
    server = standalone(folder, aof=plan.store is StoreKind.STANDALONE_AOF)
    link = Link("link", folder=folder, to_port=server.port) if plan.proxied else None
    try:
        await start_together([server, *([link] if link else [])])
        yield SingleStore(server, kind=plan.store, link=link)
    finally:
        await kill_together([server, *([link] if link else [])])


@asynccontextmanager
async def _many(kind: StoreKind, folder: Path) -> AsyncIterator[OwnStore]:
    store: OwnStore = await (start_sentinel(folder) if kind is StoreKind.SENTINEL else start_cluster(folder))
    try:
        yield store
    finally:
        await kill_together(store.servers)
