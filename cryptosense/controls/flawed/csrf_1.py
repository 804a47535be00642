"""CSRF-1: validation rotates the token and delivers the new one nowhere."""

from cryptosense.controls.control import Control
from cryptosense.http.parts import Parts
from cryptosense.services.csrf import CsrfDecision, CsrfTokens, CsrfVerdict


class Undelivered(CsrfTokens):
    async def validate(self, session: str, presented: str | None) -> CsrfDecision:
        decision = await super().validate(session, presented)
        return CsrfDecision(CsrfVerdict.ACCEPTED) if decision.accepted else decision


def _csrf(parts: Parts) -> Undelivered:
    return Undelivered(parts.state.state.csrf, ttl_s=parts.settings.csrf_ttl_s, grace_s=0)


CONTROL = Control("CSRF-1", "The successor of a used token is drawn and delivered nowhere.", {"csrf": _csrf})
