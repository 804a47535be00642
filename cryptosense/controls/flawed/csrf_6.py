"""CSRF-6: exemption is a match on the path, so a variant of an exempt path asks for a sign-in."""

import json

from starlette.types import ASGIApp, Receive, Scope, Send

from cryptosense.controls.control import Control

EXEMPT = {"/api/v1/auth/login", "/api/v1/auth/register", "/api/v1/auth/refresh"}
SAFE = {"GET", "HEAD", "OPTIONS"}
REFUSAL = json.dumps({"error": "Unauthorized"}).encode()


def _by_path(app: ASGIApp) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        exempt = scope["type"] != "http" or scope["method"] in SAFE or scope["path"] in EXEMPT
        if exempt or any(name == b"authorization" for name, _ in scope["headers"]):
            await app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(REFUSAL)).encode())]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": REFUSAL})

    return call


CONTROL = Control("CSRF-6", "Whether a route is exempt is decided by comparing its path as text.", wrap=_by_path)
