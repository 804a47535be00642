"""CSRF-4: a request that fails for another reason spends the token without delivering its successor."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cryptosense.controls.control import Control
from cryptosense.http.parts import Parts
from cryptosense.services.csrf import CsrfTokens


def _without_successor_on_errors(app: ASGIApp) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        async def filtered(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                kept = [(name, value) for name, value in message["headers"] if name != b"x-csrf-token"]
                message = {**message, "headers": kept}
            await send(message)

        await app(scope, receive, filtered)

    return call


def _csrf(parts: Parts) -> CsrfTokens:
    return CsrfTokens(parts.state.state.csrf, ttl_s=parts.settings.csrf_ttl_s, grace_s=0)


CONTROL = Control(
    "CSRF-4",
    "An answer of 4xx spends the token and delivers no successor.",
    {"csrf": _csrf},
    wrap=_without_successor_on_errors,
)
