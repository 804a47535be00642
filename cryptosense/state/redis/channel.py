"""Every command of this process passes here: budget, script, routing, redirection, translation of errors."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.exceptions import AskError, BusyLoadingError, MovedError, NoScriptError, ResponseError

from cryptosense.errors import OutcomeUnknown, StateUnavailable
from cryptosense.state.deadline import current_budget
from cryptosense.state.redis.failures import is_demotion, translated
from cryptosense.state.redis.link import Argument, Link, packed
from cryptosense.state.redis.routes import Route
from cryptosense.state.redis.scripts import scripts

REDIRECTIONS = 4
SCAN_COUNT = 500


_Call = tuple[bytes, bytes | None]
"""A packed command, and the body of the script that it calls."""


class Channel:
    """Runs scripts and commands within the request's deadline, or within `budget_ms` where there is none.

    Calls that are issued in one turn of the event loop share a write; `asyncio.gather` over calls is a pipeline.
    """

    def __init__(self, route: Route, *, budget_ms: float) -> None:
        self._route = route
        self._budget_s = budget_ms / 1000
        self._loop = asyncio.get_running_loop()

    async def run(self, script: str, keys: Sequence[str], *arguments: Argument, reads: bool = False) -> Any:
        """The script's reply. All `keys` have one hash tag; `reads`: it writes nothing, so no outcome is unknown."""
        return (await self._send(keys[0], (self._call(script, keys, *arguments),), reads=reads))[0]

    async def command(self, name: str, key: str, *arguments: Argument, reads: bool = False) -> Any:
        """The reply of one command on one key."""
        return (await self._send(key, ((packed(name, key, *arguments), None),), reads=reads))[0]

    async def read_whole(self, key: str) -> tuple[int, bytes | None]:
        """What is left of the life of a string, in ms, and the string, in one round trip.

        Two commands: a script would copy the string three times within the server, and hold up everybody meanwhile.
        Where somebody writes between them, the life is that of the string before. What is no string is read as an empty
        one.
        """
        calls = ((packed("PTTL", key), None), (packed("GET", key), None))
        left, body = await self._send(key, calls, reads=True, tolerant=True)
        return left, body

    async def run_and_read(
        self, script: str, keys: Sequence[str], *arguments: Argument
    ) -> tuple[Any, int, bytes | None]:
        """The script's reply, and after it `read_whole` of the first of its keys; one round trip."""
        key = keys[0]
        calls = (self._call(script, keys, *arguments), (packed("PTTL", key), None), (packed("GET", key), None))
        reply, left, body = await self._send(key, calls, reads=False, tolerant=True)
        return reply, left, body

    async def unlink(self, keys: Sequence[str]) -> int:
        """Removes keys of one hash tag; how many there were."""
        removed: int = (await self._send(keys[0], ((packed("UNLINK", *keys), None),), reads=False))[0]
        return removed

    async def scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """The keys that match, in batches, from every primary; a key may come twice."""
        for link in await self._route.every(self._loop.time() + self._budget_s):
            cursor = b"0"
            while True:
                command = packed("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
                cursor, keys = _checked(await link.submit(command, self._loop.time() + self._budget_s), pattern)
                if keys:
                    yield [key.decode() for key in keys]
                if cursor == b"0":
                    break

    async def ping(self) -> bool:
        """Whether every primary answers within the budget; never raises."""
        try:
            deadline = self._loop.time() + self._budget_s
            links = await self._route.every(deadline)
            replies = await asyncio.gather(*(link.submit(packed("PING"), deadline) for link in links))
        except (StateUnavailable, OutcomeUnknown):
            return False
        return bool(replies) and all(reply == b"PONG" for reply in replies)

    async def wait_ready(self, seconds: float) -> bool:
        """Waits until every primary is connected, at most so long; whether they are."""
        until = self._loop.time() + seconds
        try:
            links = await self._route.every(until)
        except StateUnavailable:
            return False
        ready = await asyncio.gather(*(link.wait_ready(until - self._loop.time()) for link in links))
        return all(ready)

    async def close(self) -> None:
        """Ends every connection."""
        await self._route.close()

    @staticmethod
    def _call(script: str, keys: Sequence[str], *arguments: Argument) -> _Call:
        found = scripts()[script]
        return packed(b"EVALSHA", found.digest, len(keys), *keys, *arguments), found.body

    async def _send(self, key: str, calls: Sequence[_Call], *, reads: bool, tolerant: bool = False) -> list[Any]:
        """The replies; `tolerant` makes an empty string of what a command finds to be of another type."""
        budget = current_budget()
        allowed = min(budget.begin(), self._budget_s) if budget is not None else self._budget_s
        try:
            if allowed <= 0:
                raise StateUnavailable("the request has used up its time for the state")
            deadline = self._loop.time() + allowed
            link = self._route.known(key) or await self._route.find(key, deadline)
            if len(calls) == 1:
                replies = [await link.submit(calls[0][0], deadline)]
            else:
                replies = await asyncio.gather(*link.submit_all([command for command, _ in calls], deadline))
            for position, reply in enumerate(replies):
                if tolerant and isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE"):
                    replies[position] = b""
                elif isinstance(reply, (ResponseError, BusyLoadingError)):
                    replies[position] = await self._again(reply, link, key, calls[position], deadline)
        except OutcomeUnknown as error:
            if reads:
                raise StateUnavailable(str(error)) from error
            raise
        finally:
            if budget is not None:
                budget.end()
        return replies

    async def _again(
        self,
        reply: Any,
        link: Link,
        key: str,
        call: _Call,
        deadline: float,
    ) -> Any:
        """What was refused before it began is sent once more: a missing script once, a redirected call a few times."""
        command, script = call
        loaded = False
        for _ in range(REDIRECTIONS):
            before: list[bytes] = []
            if isinstance(reply, NoScriptError) and script is not None and not loaded:
                loaded = True
                before = [packed("SCRIPT", "LOAD", script)]
            elif isinstance(reply, MovedError):  # a subclass of AskError, so it is asked first
                link = self._route.at(reply.host, reply.port)
                self._route.moved(key, link)
            elif isinstance(reply, AskError):
                link = self._route.at(reply.host, reply.port)
                before = [packed("ASKING")]
            else:
                break
            replies: list[Any] = await asyncio.gather(*link.submit_all([*before, command], deadline))
            reply = replies[-1]
            if not isinstance(reply, (ResponseError, BusyLoadingError)):
                return reply
        if isinstance(reply, ResponseError) and is_demotion(reply):
            link.distrust("it is no primary any more")
        raise translated(reply, key)


def _checked(reply: Any, key: str) -> Any:
    if isinstance(reply, (ResponseError, BusyLoadingError)):
        raise translated(reply, key)
    return reply
