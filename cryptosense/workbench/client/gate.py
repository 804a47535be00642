"""Requests that arrive together: each is made ready up to its first byte, and all are sent when the last one is.

A client needs milliseconds to make a request, and a service that decides in two steps leaves far less time between
them: of requests that are merely started together each finds the one before it finished, and a race never shows.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

_PATIENCE_S = 10.0
"""How long anybody waits for the rest, one of which may never have got a connection."""


class Gate:
    """Opens when `requests` requests stand before it; each passes it with `extensions={"trace": gate.wait}` of httpx.

    Once open it stays so: where only some of a crowd may be under way at once, the others follow as they come.
    """

    def __init__(self, requests: int) -> None:
        self._missing = requests
        self._open = asyncio.Event()

    async def wait(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpcore at every step of a request; holds it where it has a connection and is about to send."""
        del info
        if event == "http11.send_request_headers.started":
            self._missing -= 1
            if self._missing <= 0:
                self._open.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    await self._open.wait()
