"""Faults of the way between the service and its store."""

import asyncio
import contextlib
from typing import cast

from redis.exceptions import RedisError

from cryptosense.errors import UsageError
from cryptosense.workbench.faults.fault import Fault
from cryptosense.workbench.topology.link import Cut, Link

_AGAIN_EVERY_S = 0.25
_CUTS = ("silent", "refused")


class DroppedConnections(Fault):
    """Every client's connection is closed by the server, again and again until the cure."""

    name, label, hatch = "drop", "connections dropped", "---"

    def prepare(self) -> None:
        self.refuse_arguments(beyond=0)
        self.own_store()
        self._dropping: asyncio.Task[None] | None = None

    async def inject(self) -> None:
        self.subject = ", ".join(server.name for server in self.own_store().data_servers)
        await self._drop()
        self._dropping = asyncio.ensure_future(self._go_on())

    async def cure(self) -> None:
        if self._dropping is not None:
            self._dropping.cancel()
            await asyncio.gather(self._dropping, return_exceptions=True)

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(_AGAIN_EVERY_S)
            await self._drop()

    async def _drop(self) -> None:
        for server in self.own_store().data_servers:
            # Another fault may hold the server down at the same time: then there is nothing to drop.
            with contextlib.suppress(RedisError, OSError):
                await server.drop_connections()


class _OfTheLink(Fault):
    """Needs `DeploymentPlan.proxied`."""

    def link(self) -> Link:
        """The wire before the store.

        Raises:
            UsageError: the plan did not ask for one.
        """
        link = self.own_store().link
        if link is None:
            raise UsageError(f"{self.name} needs a wire to work on: give the plan proxied=True")
        return link

    async def cure(self) -> None:
        if self.subject:
            await self.link().mend()


class SlowReplies(_OfTheLink):
    """Replies arrive later by the given milliseconds (200 unless given)."""

    name, label, hatch = "slow", "slow replies", "xxx"
    accepts = "milliseconds of delay"

    def prepare(self) -> None:
        self.refuse_arguments(beyond=1)
        self.link()
        try:
            self._delay_ms = float(self.arguments[0]) if self.arguments else 200.0
        except ValueError:
            raise self.wrong_arguments() from None
        if not 0 < self._delay_ms <= 60_000:
            raise self.wrong_arguments()

    async def inject(self) -> None:
        self.subject = self.link().name
        await self.link().delay(self._delay_ms)


class CutLink(_OfTheLink):
    """Nothing passes and nobody is told (`silent`), or connections are reset and refused (`refused`)."""

    name, label, hatch = "cut", "link cut", "+++"
    accepts = "silent or refused"

    def prepare(self) -> None:
        self.refuse_arguments(beyond=1)
        self.link()
        how = self.arguments[0] if self.arguments else "silent"
        if how not in _CUTS:
            raise self.wrong_arguments()
        self._how = cast("Cut", how)

    async def inject(self) -> None:
        self.subject = self.link().name
        await self.link().cut(self._how)
