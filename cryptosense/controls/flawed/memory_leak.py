"""SOAK: something is kept for every request and never let go; the control beside a flat line."""

import os

from starlette.types import ASGIApp, Receive, Scope, Send

from cryptosense.controls.control import Control

KEPT_BYTES = 20_000


def _keeping(app: ASGIApp) -> ASGIApp:
    kept: list[bytes] = []

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            kept.append(os.urandom(KEPT_BYTES))
        await app(scope, receive, send)

    return call


CONTROL = Control("SOAK", "Twenty kilobytes are kept for every request.", wrap=_keeping)
