"""A primary, its replicas, and three sentinels that watch it."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.deployment import StoreKind
from cryptosense.workbench.topology.ports import HOST, free_port
from cryptosense.workbench.topology.process import kill_together, start_together
from cryptosense.workbench.topology.servers import Server, ServerProgram, base_settings, find_server, quoted

SERVICE = "cryptosense"
DOWN_AFTER_MS = 1_500
"""A sentinel connects to an instance at most once a second. Where it had just tried the dead primary when the new one
was announced, it calls on that one only a second later; by then one with less patience has called it down too, and
one failover sets off the next, until a primary that came back empty is promoted and everything is lost.
"""
_READY_S = 20.0
_POLL_S = 0.05


class SentinelStore:
    """One primary with `min-replicas-to-write 1`, two replicas, three sentinels with a quorum of two."""

    kind = StoreKind.SENTINEL
    link = None

    def __init__(self, data: Sequence[Server], sentinels: Sequence[Server]) -> None:
        self.data_servers = tuple(data)
        self.sentinels = tuple(sentinels)

    @property
    def servers(self) -> Sequence[Server]:
        return (*self.data_servers, *self.sentinels)

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'{HOST}:{one.port}' for one in self.sentinels)}/{SERVICE}"

    @property
    def redacted(self) -> str:
        return self.url

    @property
    def environment(self) -> Mapping[str, str]:
        return {"REDIS_URL": self.url}

    async def primary(self) -> Server:
        """The server that the newest configuration names: after a promotion, that of the sentinel which led it.

        The others learn of it from that one, up to some hundred milliseconds later, and outnumber it until then;
        what tells old from new is the epoch (Redis Sentinel documentation, "Configuration epochs").

        Raises:
            CouldNotStart: no sentinel answers.
        """
        newest, port = -1, 0
        for sentinel in self.sentinels:
            try:
                # In this order, for a promotion between the two must not lend the old address its epoch.
                epoch = int((await sentinel.command("SENTINEL", "MASTER", SERVICE))["config-epoch"])
                named = await sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
            except (RedisError, OSError):
                continue
            if epoch > newest:
                newest, port = epoch, int(named[1])
        if newest < 0:
            raise CouldNotStart("no sentinel answers")
        return next(server for server in self.data_servers if server.port == port)

    async def info(self, section: str = "default") -> Mapping[str, str]:
        return await (await self.primary()).info(section)

    async def wait_until_settled(self) -> None:
        """Returns when every sentinel knows all the others and all replicas, and the primary has its replicas.

        Raises:
            CouldNotStart: that took too long.
        """
        try:
            async with asyncio.timeout(_READY_S):
                while not await self._settled():  # noqa: ASYNC110 (the servers tell nobody when they are ready)
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise CouldNotStart("Sentinel did not settle; see the logs of its servers") from None

    async def _settled(self) -> bool:
        try:
            replication = await self.data_servers[0].info("replication")
            wanted = len(self.data_servers) - 1
            online = sum("state=online" in replication.get(f"slave{index}", "") for index in range(wanted))
            # Told only where writes need replicas; counted once a second, so it may come after the replicas.
            good = int(replication.get("min_slaves_good_slaves", wanted))
            if online != wanted or good != wanted:
                return False
            for sentinel in self.sentinels:
                known = await sentinel.info("sentinel")
                expected = f"slaves={len(self.data_servers) - 1},sentinels={len(self.sentinels)}"
                if expected not in known.get("master0", "") or "status=ok" not in known.get("master0", ""):
                    return False
        except (RedisError, OSError):
            return False
        return True


async def start_sentinel(
    folder: Path,
    *,
    replicas: int = 2,
    down_after_ms: int = DOWN_AFTER_MS,
    program: ServerProgram | None = None,
    settings: Mapping[str, str] | None = None,
) -> SentinelStore:
    """Starts the whole arrangement and returns when it has settled; the caller ends it with `kill_together`.

    `down_after_ms` is how long a sentinel waits for an answer before it calls the primary down.

    Raises:
        CouldNotStart: something did not come up or did not settle; nothing of it is left.
    """
    program = program or find_server()
    ports = [free_port() for _ in range(replicas + 1)]
    data = [
        _data_server(
            folder, program, f"data-{index}", port=port, primary=ports[0] if index else None, further=settings or {}
        )
        for index, port in enumerate(ports)
    ]
    sentinels = [_sentinel(folder, program, f"sentinel-{index}", ports[0], down_after_ms) for index in range(3)]
    store = SentinelStore(data, sentinels)
    try:
        await data[0].start()
        await start_together([*data[1:], *sentinels])
        await store.wait_until_settled()
    except BaseException:
        await kill_together(store.servers)
        raise
    return store


def _data_server(
    folder: Path, program: ServerProgram, name: str, *, port: int, primary: int | None, further: Mapping[str, str]
) -> Server:
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    settings = base_settings(own, port, password=None, certificates=None) | {
        "appendonly": "no",
        "min-replicas-to-write": "1",
        "min-replicas-max-lag": "2",
        "repl-diskless-sync-delay": "0",
        "repl-ping-replica-period": "1",
        **further,
    }
    if primary is not None:
        settings["replicaof"] = f"{HOST} {primary}"
    return Server(name, folder=own, program=program, settings=settings, port=port)


def _sentinel(folder: Path, program: ServerProgram, name: str, primary: int, down_after_ms: int) -> Server:
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings: dict[str, Any] = {
        "bind": HOST,
        "port": str(port),
        "dir": quoted(str(own)),
        "daemonize": "no",
        "sentinel monitor": f"{SERVICE} {HOST} {primary} 2",
        "sentinel down-after-milliseconds": f"{SERVICE} {down_after_ms}",
        # After a split vote sentinels wait twice this long before they try again; a promotion takes a good second.
        "sentinel failover-timeout": f"{SERVICE} 3000",
        "sentinel parallel-syncs": f"{SERVICE} 1",
    }
    return Server(name, folder=own, program=program, settings=settings, port=port, arguments=["--sentinel"])
