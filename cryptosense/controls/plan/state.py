"""Puts one flawed kind of state beside the reference's others."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptosense.http.wiring import Parts, Replacement
from cryptosense.state.contracts import StateSet


def state_with(**kinds: Callable[[Parts, StateSet], Any]) -> Replacement:
    """The part `state`, with the named kinds built from the parts and the reference's own set."""

    def build(parts: Parts) -> object:
        opened = Parts.state.build(parts)
        swapped = {name: make(parts, opened.state) for name, make in kinds.items()}
        return replace(opened, state=replace(opened.state, **swapped))

    return build
