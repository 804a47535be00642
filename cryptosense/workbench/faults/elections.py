"""Watches servers agree on a new primary, so that an outage's length can be split into its steps.

Recorded as observations `election` with the labels `step` and `server`: `suspected` (one sentinel or node calls the
primary down), `down` (enough of them do), `elected` (the one that acts is chosen, Sentinel only), `promoted` (the new
primary takes writes), `announced` (clients that ask are told; Sentinel only, a Cluster's clients ask the nodes).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from cryptosense.workbench.history import Observation, Recorder
from cryptosense.workbench.topology.cluster import ClusterStore, NodeLine, node_lines
from cryptosense.workbench.topology.sentinel import SentinelStore
from cryptosense.workbench.topology.servers import Server
from cryptosense.workbench.topology.stores import OwnStore

OBSERVATION = "election"

# https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/ (Pub/Sub messages)
_STEPS = {
    "+sdown": "suspected",
    "+odown": "down",
    "+elected-leader": "elected",
    "+promoted-slave": "promoted",
    "+switch-master": "announced",
}
_IN_A_CLUSTER = ("suspected", "down", "promoted")
_POLL_S = 0.02


@asynccontextmanager
async def watch_elections(store: OwnStore, recorder: Recorder) -> AsyncIterator[None]:
    """Records the steps of every election of the store within the block; a lone server has none."""
    watching: list[asyncio.Task[None]] = []
    if isinstance(store, SentinelStore):
        listening = [asyncio.Event() for _ in store.sentinels]
        for sentinel, ready in zip(store.sentinels, listening, strict=True):
            watching.append(asyncio.ensure_future(_listen(sentinel, recorder, ready)))
        await asyncio.wait_for(asyncio.gather(*(ready.wait() for ready in listening)), 10.0)
    elif isinstance(store, ClusterStore):
        watching += [asyncio.ensure_future(_poll(server, recorder)) for server in store.servers]
    try:
        yield
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def _listen(sentinel: Server, recorder: Recorder, ready: asyncio.Event) -> None:
    async with sentinel.client(socket_timeout=None) as client, client.pubsub() as channels:
        await channels.subscribe(*_STEPS)
        ready.set()
        async for message in channels.listen():
            words = str(message["data"]).split()
            about_primary = words[:1] == ["master"] or message["channel"] in {"+promoted-slave", "+switch-master"}
            if message["type"] == "message" and about_primary:
                _note(recorder, _STEPS[message["channel"]], sentinel.name)


async def _poll(server: Server, recorder: Recorder) -> None:
    """A Cluster announces nothing, so each node's own view is read again and again.

    What is first seen in one look is recorded in the order in which it must have happened.
    """
    seen: dict[int, frozenset[str]] = {}
    while True:
        with contextlib.suppress(RedisError, OSError):
            steps: set[str] = set()
            for node in node_lines(await server.command("CLUSTER", "NODES")):
                if node.port in seen:
                    steps |= _steps(node, seen[node.port])
                seen[node.port] = node.flags
            for step in _IN_A_CLUSTER:
                if step in steps:
                    _note(recorder, step, server.name)
        await asyncio.sleep(_POLL_S)


def _steps(node: NodeLine, before: frozenset[str]) -> set[str]:
    """What has happened to the node since the look before; what is down was suspected, if only between two looks."""
    new = node.flags - before
    steps = set()
    if "fail?" in new or ("fail" in new and "fail?" not in before):
        steps.add("suspected")
    if "fail" in new:
        steps.add("down")
    if "master" in new and "slave" in before:
        steps.add("promoted")
    return steps


def _note(recorder: Recorder, step: str, server: str) -> None:
    recorder.record(Observation(OBSERVATION, recorder.now(), 1.0, {"step": step, "server": server}))
