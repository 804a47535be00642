"""The store's side, as scenarios: foreign content at a key, dropping everything, replies that never arrive.

They ask for a server that the run started: what a run finds at a given server is not its own to change.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.deployment import Capability, StoreKind
from cryptosense.workbench.experiments.scenario import Scenario, Stage, needs, needs_addresses, needs_limit, needs_route
from cryptosense.workbench.target import Route
from cryptosense.workbench.topology.stores import SingleStore

FOREIGN = "oops"
FOREIGN_MS = 20_000
_LISTS = (("litecoin",), ("litecoin", "monero"), ("monero",))
_COMMANDS = ("del", "unlink")
_LOSSES = (0, 2)
_APART_S = 1.5


async def _foreign_limiter_key(stage: Stage, phase: str) -> None:
    """A visitor's limiter key is replaced by a list; then the visitor asks every instance once."""
    visitor = stage.guest(phase, "visitor")
    async with _server(stage) as server:
        before = await _keys(server)
        await visitor.probe("auth", instance=stage.urls[0])
        planted = await _keys(server) - before
        for key in planted:
            await server.delete(key)
            await server.rpush(key, FOREIGN)
            await server.pexpire(key, FOREIGN_MS)
        stage.lab.recorder.observe("store.planted", len(planted), phase=phase)
        for url in stage.urls:
            await visitor.probe("auth", instance=url, sent={"planted": True})


async def _foreign_cache_entry(stage: Stage, phase: str) -> None:
    """Every string that reading a list left behind is replaced by text; then the list is read on every instance."""
    visitor = stage.guest(phase, "visitor")
    await visitor.read_tokens("dash", instance=stage.urls[0])
    async with _server(stage) as server:
        before = await _keys(server)
        fetched = (await visitor.read_tokens("usd-coin", instance=stage.urls[0])).operation
        planted = 0
        for key in await _keys(server) - before:
            if await server.type(key) == b"string":
                await server.set(key, FOREIGN, px=FOREIGN_MS)
                planted += 1
        stage.lab.recorder.observe("store.planted", planted, phase=phase)
        again = Route(path=str(fetched.sent["path"]))
        for url in stage.urls:
            await visitor.ask("tokens.read", again, instance=url, sent={**fetched.sent, "planted": True})


async def _dropping_all(stage: Stage, phase: str) -> None:
    """Several lists are cached, dropped together between two readings of the command counts, and read again."""
    client = await stage.account(phase, "owner")
    await client.fetch_csrf()
    for ids in _LISTS:
        await client.read_tokens(*ids)
    await _count_commands(stage, phase)
    await client.invalidate_tokens()
    await _count_commands(stage, phase)
    await asyncio.gather(*(client.read_tokens(*ids) for ids in _LISTS))


async def _lost_replies(stage: Stage, phase: str) -> None:
    """A visitor spends its whole budget, and twice the reply of the store is lost on the way.

    The losses are apart by more than what a connection must last to be taken for sound.
    """
    store = stage.deployment.store
    if not isinstance(store, SingleStore) or store.link is None:
        raise CouldNotStart("there is no wire before the store that could lose a reply")
    visitor, limit = stage.guest(phase, "visitor"), stage.limit("auth")
    before = await store.link.lost()
    for number in range(limit.max):
        if number in _LOSSES:
            await asyncio.sleep(_APART_S if number else 0)
            await store.link.lose(1)
        await visitor.probe("auth", instance=stage.urls[0])
    stage.lab.recorder.observe("store.replies_lost", await store.link.lost() - before, phase=phase)


async def _count_commands(stage: Stage, phase: str) -> None:
    store = stage.deployment.store
    if store is None:
        raise CouldNotStart("the store's figures cannot be read")
    told = await store.info("commandstats")
    for command in _COMMANDS:
        stage.lab.recorder.observe("store.calls", _calls(told.get(f"cmdstat_{command}")), command=command, phase=phase)


def _calls(entry: Any) -> int:
    """`calls` of a command's statistics, which arrive as text (`calls=3,usec=9,...`) or taken apart already."""
    if entry is None:
        return 0
    fields = entry if isinstance(entry, dict) else dict(part.split("=", 1) for part in str(entry).split(","))
    return int(fields["calls"])


@asynccontextmanager
async def _server(stage: Stage) -> AsyncIterator[Any]:
    if stage.deployment.store is None:
        raise CouldNotStart("there is no store to look into")
    client: Any = redis.asyncio.Redis.from_url(stage.deployment.store.url, socket_timeout=5)
    try:
        yield client
    finally:
        await client.aclose()


async def _keys(server: Any) -> set[bytes]:
    return {key async for key in server.scan_iter(count=1_000)}


def _single_server(stage: Stage) -> str | None:
    store = stage.deployment.store
    single = store is not None and store.kind in {StoreKind.STANDALONE, StoreKind.STANDALONE_AOF}
    return None if single else "this looks into one server that the run started; choose topology=standalone"


_OWN = needs(Capability.FAULTS, "the store is not ours to put foreign content into")
STORE_SCENARIOS = (
    Scenario("foreign limiter key", _foreign_limiter_key, (_OWN, _single_server, needs_limit("auth"), needs_addresses)),
    Scenario("foreign cache entry", _foreign_cache_entry, (_OWN, _single_server)),
    Scenario(
        "dropping all",
        _dropping_all,
        (_OWN, _single_server, needs_route("invalidating", lambda stage: stage.wire.target.profile.cache.invalidate)),
    ),
    Scenario("lost replies", _lost_replies, (_OWN, _single_server, needs_limit("auth"), needs_addresses)),
)
