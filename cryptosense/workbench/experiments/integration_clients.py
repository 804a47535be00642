"""What the store itself tells of its clients after the stories: their driver, their connections, their keys."""

from collections import Counter
from typing import Any

import redis.asyncio

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.claims.store_clients import UNTOLD
from cryptosense.workbench.deployment import Capability, StoreKind
from cryptosense.workbench.experiments.scenario import Scenario, Stage, needs

CLIENTS = "store clients"
_OURS = "workbench-looks"
_FLUSHES = ("flushdb", "flushall")


async def _clients(stage: Stage, phase: str) -> None:
    """Connections by driver, the keys' first parts, and whether anybody flushed."""
    store, recorder = stage.deployment.store, stage.lab.recorder
    if store is None:
        raise CouldNotStart("there is no store to look into")
    client: Any = redis.asyncio.Redis.from_url(store.url, client_name=_OURS, decode_responses=True, socket_timeout=5)
    async with client:
        libraries: dict[str, int] = {}
        for connection in await client.client_list():
            if connection.get("name") != _OURS:
                library = connection.get("lib-name", UNTOLD) or "none"
                libraries[library] = libraries.get(library, 0) + 1
        spaces = Counter([key.partition(":")[0] async for key in client.scan_iter(count=1_000)])
        figures = await client.info("commandstats")
        accepted = (await client.info("stats"))["total_connections_received"]
    for library, count in libraries.items():
        recorder.observe("store.connections", count, library=library, phase=phase)
    recorder.observe("store.instances", len(stage.urls), phase=phase)
    recorder.observe("store.accepted", accepted, phase=phase)
    for space, keys in spaces.items():
        recorder.observe("store.keyspace", keys, space=space, phase=phase)
    flushes = sum(_calls(figures.get(f"cmdstat_{command}")) for command in _FLUSHES)
    recorder.observe("store.flushes", flushes, phase=phase)


def _calls(entry: Any) -> int:
    return int(entry["calls"]) if isinstance(entry, dict) else 0


def _single_server(stage: Stage) -> str | None:
    store = stage.deployment.store
    single = store is not None and store.kind in {StoreKind.STANDALONE, StoreKind.STANDALONE_AOF}
    return None if single else "this looks into one server that the run started; choose topology=standalone"


CLIENT_SCENARIOS = (
    Scenario(
        CLIENTS, _clients, (needs(Capability.FAULTS, "the store is not the run's own to look into"), _single_server)
    ),
)
