"""CSRF-7: asking for a token is unlimited, open to other sites, and kills the token before."""

from cryptosense.controls.control import Control
from cryptosense.http.guards import Check, Exchange, Limited, SameOrigin
from cryptosense.http.parts import Parts
from cryptosense.http.replies import Refusal
from cryptosense.http.wiring import Instance
from cryptosense.services.csrf import CsrfTokens

PATH = "/api/v1/csrf-token"


class FreshEveryTime(CsrfTokens):
    async def current(self, session: str) -> str:
        return await self.rotate(session)


class ExceptForTokens:
    """Lets requests for a token past one check."""

    def __init__(self, check: Check) -> None:
        self._check = check

    async def __call__(self, exchange: Exchange) -> Refusal | None:
        return None if exchange.scope["path"] == PATH else await self._check(exchange)


def _csrf(parts: Parts) -> FreshEveryTime:
    settings = parts.settings
    return FreshEveryTime(parts.state.state.csrf, ttl_s=settings.csrf_ttl_s, grace_s=settings.csrf_grace_s)


def _checks(parts: Instance) -> list[Check]:
    return [
        ExceptForTokens(check) if isinstance(check, SameOrigin | Limited) else check
        for check in Instance.checks.build(parts)
    ]


CONTROL = Control(
    "CSRF-7",
    "GET /csrf-token is unlimited, answers other sites and invalidates the token before.",
    {"csrf": _csrf, "checks": _checks},
)
