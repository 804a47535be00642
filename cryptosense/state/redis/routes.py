"""Which server a key lies on: one server, the primary that Sentinel names, or a shard of a cluster."""

from collections.abc import Sequence
from typing import Protocol

from cryptosense.state.redis.link import Link
from cryptosense.state.redis.sentinels import Sentinels


class Route(Protocol):
    """Finds the link for a key."""

    def known(self, key: str) -> Link | None:
        """The link to the server that owns `key`, if that is known by now."""
        ...

    async def find(self, key: str, deadline: float) -> Link:
        """The same, waiting until it is known.

        Raises:
            StateUnavailable: that server is not known by `deadline` (loop time).
        """
        ...

    async def every(self, deadline: float) -> Sequence[Link]:
        """A link to each primary."""
        ...

    def at(self, host: str, port: int) -> Link:
        """The link to the server to which another one has pointed."""
        ...

    def moved(self, key: str, link: Link) -> None:
        """Takes note that `key` lies elsewhere now."""
        ...

    async def close(self) -> None: ...


class SingleRoute:
    """Everything lies on one server."""

    def __init__(self, link: Link, *, sentinels: Sentinels | None = None) -> None:
        self._link = link
        self._sentinels = sentinels

    def known(self, key: str) -> Link:  # noqa: ARG002 - the same for every key
        return self._link

    async def find(self, key: str, deadline: float) -> Link:  # noqa: ARG002 - the same for every key
        return self._link

    async def every(self, deadline: float) -> Sequence[Link]:  # noqa: ARG002 - known at once
        return [self._link]

    def at(self, host: str, port: int) -> Link:  # noqa: ARG002 - nobody points elsewhere
        return self._link

    def moved(self, key: str, link: Link) -> None:
        """One server does not move keys."""

    async def close(self) -> None:
        await self._link.close()
        if self._sentinels is not None:
            await self._sentinels.close()
