"""Faults of a server's state: demoted, full, forgetful, with another password."""

import secrets

from redis.exceptions import RedisError

from cryptosense.workbench.deployment import StoreKind
from cryptosense.workbench.faults.fault import Fault
from cryptosense.workbench.topology.ports import HOST, free_port
from cryptosense.workbench.topology.sentinel import SERVICE, SentinelStore
from cryptosense.workbench.topology.servers import Server


class Demote(Fault):
    """The primary becomes a replica while clients hold connections to it, so that their writes get READONLY.

    Under Sentinel and on a Cluster by the planned failover that these know, and nothing is to be healed; a lone server
    becomes the replica of a port where nobody listens, which keeps its data.
    """

    name, label, hatch = "demote", "primary demoted", "/-"

    def prepare(self) -> None:
        self.refuse_arguments(beyond=0)
        self.own_store()
        self._alone: Server | None = None

    async def inject(self) -> None:
        store = self.own_store()
        primary = await store.primary()
        self.subject = primary.name
        if isinstance(store, SentinelStore):
            await store.sentinels[0].command("SENTINEL", "FAILOVER", SERVICE)
        elif store.kind is StoreKind.CLUSTER:
            await (await self._replica_of(primary)).command("CLUSTER", "FAILOVER")
        else:
            self._alone = primary
            await primary.command("REPLICAOF", HOST, free_port())

    async def cure(self) -> None:
        if self._alone is not None:
            await self._alone.command("REPLICAOF", "NO", "ONE")

    async def _replica_of(self, primary: Server) -> Server:
        for server in self.own_store().data_servers:
            replication = await server.info("replication")
            if replication.get("role") == "slave" and replication.get("master_port") == str(primary.port):
                return server
        raise RedisError(f"{primary.name} has no replica that could take over")


class FullMemory(Fault):
    """The primary has no memory left: with `noeviction` every command that may write gets OOM, reads go on."""

    name, label, hatch = "full", "memory full", "x-"

    def prepare(self) -> None:
        self.refuse_arguments(beyond=0)
        self.own_store()
        self._full: Server | None = None
        self._before = "0"

    async def inject(self) -> None:
        self._full = await self.own_store().primary()
        self.subject = self._full.name
        self._before = str((await self._full.command("CONFIG", "GET", "maxmemory"))["maxmemory"])
        await self._full.command("CONFIG", "SET", "maxmemory", "1")

    async def cure(self) -> None:
        if self._full is not None:
            await self._full.command("CONFIG", "SET", "maxmemory", self._before)


class ScriptFlush(Fault):
    """The servers forget every loaded script, as after a failover. There is nothing to heal."""

    name, label, hatch = "flush", "scripts flushed", "|-"

    def prepare(self) -> None:
        self.refuse_arguments(beyond=0)
        self.own_store()

    async def inject(self) -> None:
        servers = [server for server in self.own_store().data_servers if server.alive()]
        self.subject = ", ".join(server.name for server in servers)
        for server in servers:
            await server.command("SCRIPT", "FLUSH")

    async def cure(self) -> None:
        """Whoever misses a script loads it again."""


class WrongPassword(Fault):
    """The server demands a password that nobody has, and closes the connections that got in without it."""

    name, label, hatch = "password", "password changed", "+/"

    def prepare(self) -> None:
        self.refuse_arguments(beyond=0)
        self.single_server()
        self._before: str | None = None
        self._changed = False

    async def inject(self) -> None:
        server = self.single_server()
        self.subject = server.name
        self._before = server.password
        wrong = secrets.token_hex(16)
        self._changed = True
        await server.command("CONFIG", "SET", "requirepass", wrong)
        server.password = wrong  # for the run's own commands; clients were started with the old one
        # Everybody's, the workbench's too: one that was spared would still be trusted.
        for kind in ("normal", "pubsub"):
            await server.command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    async def cure(self) -> None:
        if not self._changed:
            return
        server = self.single_server()
        try:
            await server.command("CONFIG", "SET", "requirepass", self._before or "")
        finally:
            server.password = self._before
        self._changed = False
