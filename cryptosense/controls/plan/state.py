"""Puts one flawed kind of state beside the reference's others."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptosense.controls.plan.server import plain_redis
from cryptosense.http.parts import Parts
from cryptosense.http.wiring import Replacement
from cryptosense.state.contracts import StateSet

Make = Callable[[StateSet, Any, str], Any]
"""From the reference's own set, a plain client of the same server, and the key prefix."""


def state_with(**kinds: Make) -> Replacement:
    """The part `state`, with the named kinds made anew; the plain client ends with it."""

    def build(parts: Parts) -> object:
        opened, server = Parts.state.build(parts), plain_redis(parts)

        async def close() -> None:
            await server.aclose()
            await opened.close()

        swapped = {name: make(opened.state, server, parts.settings.key_prefix) for name, make in kinds.items()}
        return replace(opened, state=replace(opened.state, **swapped), close=close)

    return build
