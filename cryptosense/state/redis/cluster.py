"""Routing over a cluster's shards, each with a link of its own, so that a frozen shard delays only its own keys."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from cryptosense.errors import StateError, StateUnavailable
from cryptosense.state.observer import StateObserver
from cryptosense.state.redis.link import Link, packed

ASKING_SECONDS = 0.25
"""How long one server may take to tell the layout before another one is asked."""
TENDING_SECONDS = 0.2
"""How often the layout is asked for while a shard is out of reach."""

Address = tuple[str, int]


class ClusterRoute:
    """Implements `Route`. `linking` makes the link to a server."""

    def __init__(
        self, seeds: Sequence[Address], linking: Callable[[str, int], Link], *, observer: StateObserver
    ) -> None:
        self._seeds = list(seeds)
        self._linking = linking
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._links: dict[Address, Link] = {}
        self._slots: list[Link | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._primaries: list[Address] = []
        self._told = asyncio.Event()
        self._stale = asyncio.Event()
        self._tending = self._loop.create_task(self._tend(), name="redis cluster layout")

    def known(self, key: str) -> Link | None:
        return self._slots[key_slot(key.encode())]

    async def find(self, key: str, deadline: float) -> Link:
        self._stale.set()
        await self._wait_told(deadline)
        link = self.known(key)
        if link is None:
            raise StateUnavailable("no shard of the cluster serves this key")
        return link

    async def every(self, deadline: float) -> Sequence[Link]:
        await self._wait_told(deadline)
        return [self.at(*address) for address in self._primaries]

    def at(self, host: str, port: int) -> Link:
        link = self._links.get((host, port))
        if link is None:
            link = self._links[host, port] = self._linking(host, port)
        return link

    def moved(self, key: str, link: Link) -> None:
        self._slots[key_slot(key.encode())] = link
        self._stale.set()

    async def close(self) -> None:
        self._tending.cancel()
        with suppress(asyncio.CancelledError):
            await self._tending
        await asyncio.gather(*(link.close() for link in self._links.values()))

    async def _wait_told(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._told.wait()
        except TimeoutError:
            raise StateUnavailable("no server of the cluster has told its layout yet") from None

    async def _tend(self) -> None:
        """Asks for the layout at the start, when a key has moved, and while a shard is out of reach."""
        while True:
            self._stale.clear()
            if await self._ask():
                self._told.set()
                await self._close_unused()
            healthy = self._told.is_set() and all(self.at(*address).ready for address in self._primaries)
            pause = None if healthy and not self._stale.is_set() else TENDING_SECONDS
            if pause is not None:
                await asyncio.sleep(pause)
                continue
            await self._wait_for_trouble()

    async def _wait_for_trouble(self) -> None:
        """Returns when a key has moved or a shard is out of reach."""
        while not self._stale.is_set() and all(self.at(*address).ready for address in self._primaries):
            with suppress(TimeoutError):
                async with asyncio.timeout(TENDING_SECONDS):
                    await self._stale.wait()

    async def _ask(self) -> bool:
        """Asks one server after the other, those that are connected first; whether one has told."""
        connected = [address for address, link in self._links.items() if link.ready]
        for address in dict.fromkeys([*connected, *self._primaries, *self._seeds]):
            deadline = self._loop.time() + ASKING_SECONDS
            try:
                reply = await self.at(*address).submit(packed("CLUSTER", "SLOTS"), deadline)
            except StateError:
                continue
            if isinstance(reply, list) and reply:
                self._learn(reply, address)
                return True
        return False

    def _learn(self, ranges: list[list[Any]], teller: Address) -> None:
        """Takes the layout as `CLUSTER SLOTS` tells it: [first slot, last slot, [host, port, ...] of primary, ...]."""
        slots: list[Link | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        primaries: dict[Address, None] = {}
        for first, last, primary, *_ in ranges:
            host = primary[0].decode() if primary[0] else teller[0]  # a server that does not know its own name
            address = (host, int(primary[1]))
            primaries[address] = None
            slots[first : last + 1] = [self.at(*address)] * (last + 1 - first)
        if list(primaries) != self._primaries:
            self._observer.event("topology", shards=len(primaries))
        self._slots, self._primaries = slots, list(primaries)

    async def _close_unused(self) -> None:
        for address in set(self._links) - set(self._primaries):
            if self._links[address].idle:
                await self._links.pop(address).close()
