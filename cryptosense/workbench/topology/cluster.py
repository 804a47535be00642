"""A Cluster of three primaries with a replica each, put together with the servers' own commands."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from redis.exceptions import RedisError

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.deployment import StoreKind
from cryptosense.workbench.topology.ports import BUS_OFFSET, HOST, free_port
from cryptosense.workbench.topology.process import kill_together, start_together
from cryptosense.workbench.topology.servers import Server, ServerProgram, base_settings, find_server

SLOTS = 16_384
_READY_S = 30.0
_POLL_S = 0.03


class ClusterStore:
    """Every server is a data server; which of them are primaries changes with failovers."""

    kind = StoreKind.CLUSTER
    link = None

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = tuple(servers)

    @property
    def data_servers(self) -> Sequence[Server]:
        return self.servers

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'{HOST}:{server.port}' for server in self.servers)}"

    @property
    def redacted(self) -> str:
        return self.url

    @property
    def environment(self) -> Mapping[str, str]:
        return {"REDIS_URL": self.url}

    async def primary(self) -> Server:
        """The primary of slot 0 as the first node that answers sees it.

        Raises:
            CouldNotStart: no node answers.
        """
        return (await self.primaries())[0]

    async def primaries(self) -> list[Server]:
        """The primary of each shard, in order of their slots.

        Raises:
            CouldNotStart: no node answers.
        """
        for server in self.servers:
            try:
                nodes = node_lines(await server.command("CLUSTER", "NODES"))
            except (RedisError, OSError):
                continue
            holding = [node for node in nodes if node.slots and "master" in node.flags and "fail" not in node.flags]
            ports = [node.port for node in sorted(holding, key=lambda node: node.slots[0])]
            if ports:
                return [next(one for one in self.servers if one.port == port) for port in ports]
        raise CouldNotStart("no node of the Cluster answers")

    async def info(self, section: str = "default") -> Mapping[str, str]:
        return await (await self.primary()).info(section)


class NodeLine:
    """One line of the answer to CLUSTER NODES: a node as another one sees it."""

    def __init__(self, line: str) -> None:
        words = line.split()
        self.port = int(words[1].split("@")[0].rpartition(":")[2] or 0)
        self.flags = frozenset(words[2].split(","))
        self.slots = [int(word.split("-")[0]) for word in words[8:] if word[0].isdigit()]


def node_lines(text: str) -> list[NodeLine]:
    """The answer to CLUSTER NODES."""
    return [NodeLine(line) for line in text.splitlines() if line.strip()]


async def start_cluster(
    folder: Path,
    *,
    shards: int = 3,
    replicas: int = 1,
    node_timeout_ms: int = 1_000,
    program: ServerProgram | None = None,
    settings: Mapping[str, str] | None = None,
) -> ClusterStore:
    """Starts `shards` primaries with `replicas` each and returns when all slots are served and every replica follows.

    Raises:
        CouldNotStart: something did not come up or did not settle; nothing of it is left.
    """
    program = program or find_server()
    servers = [
        _node_server(folder, program, f"node-{index}", node_timeout_ms, settings or {})
        for index in range(shards * (1 + replicas))
    ]
    store = ClusterStore(servers)
    try:
        await start_together(servers)
        await _join(servers, shards)
    except RedisError as error:
        await kill_together(servers)
        raise CouldNotStart(f"the Cluster could not be put together: {error}") from error
    except BaseException:
        await kill_together(servers)
        raise
    return store


def _node_server(
    folder: Path, program: ServerProgram, name: str, node_timeout_ms: int, further: Mapping[str, str]
) -> Server:
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    port = free_port(with_bus=True)
    settings = base_settings(own, port, password=None, certificates=None) | {
        "appendonly": "no",
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": str(node_timeout_ms),
        "cluster-port": str(port + BUS_OFFSET),
        "cluster-require-full-coverage": "no",
        "repl-diskless-sync-delay": "0",
        "repl-ping-replica-period": "1",
        **further,
    }
    return Server(name, folder=own, program=program, settings=settings, port=port)


async def _join(servers: Sequence[Server], shards: int) -> None:
    """Slots, epochs, acquaintance, replicas: in this order, each awaited where the next needs it."""
    primaries, replicas = servers[:shards], servers[shards:]
    for index, server in enumerate(servers):
        # Epochs that differ from the start spare the nodes a round of settling their collisions.
        await server.command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
    for index, server in enumerate(primaries):
        first, last = index * SLOTS // shards, (index + 1) * SLOTS // shards - 1
        await server.command("CLUSTER", "ADDSLOTSRANGE", first, last)
    for server in servers[1:]:
        await servers[0].command("CLUSTER", "MEET", HOST, server.port, server.port + BUS_OFFSET)
    await _until(lambda: _all_acquainted(servers), "its nodes did not get to know each other")
    for index, server in enumerate(replicas):
        await server.command("CLUSTER", "REPLICATE", await primaries[index % shards].command("CLUSTER", "MYID"))
    await _until(lambda: _all_served(servers, len(replicas)), "its slots or replicas did not come up")


async def _until(condition: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    try:
        async with asyncio.timeout(_READY_S):
            while not await condition():  # noqa: ASYNC110 (the servers tell nobody when they are ready)
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise CouldNotStart(f"the Cluster did not settle: {otherwise}; see the logs of its servers") from None


async def _all_acquainted(servers: Sequence[Server]) -> bool:
    for server in servers:
        nodes = node_lines(await server.command("CLUSTER", "NODES"))
        if len(nodes) != len(servers) or any("handshake" in node.flags for node in nodes):
            return False
    return True


async def _all_served(servers: Sequence[Server], replicas: int) -> bool:
    following = 0
    for server in servers:
        if "cluster_state:ok" not in await server.command("CLUSTER", "INFO"):
            return False
        nodes = node_lines(await server.command("CLUSTER", "NODES"))
        if sum("slave" in node.flags for node in nodes) != replicas:
            return False
        following += (await server.info("replication")).get("master_link_status") == "up"
    return following == replicas
