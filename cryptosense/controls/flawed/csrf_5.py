"""CSRF-5: an outage is answered as if the token were wrong."""

from cryptosense.controls.control import Control
from cryptosense.errors import StateError
from cryptosense.http.parts import Parts
from cryptosense.services.csrf import CsrfDecision, CsrfTokens, CsrfVerdict
from cryptosense.services.sessions import Bearer, Sessions


class SignatureOnly(Sessions):
    """Believes every valid signature, as the plan's authentication does."""

    async def is_live(self, bearer: Bearer) -> bool:
        del bearer
        return True


class Liar(CsrfTokens):
    async def validate(self, session: str, presented: str | None) -> CsrfDecision:
        try:
            return await super().validate(session, presented)
        except StateError:
            return CsrfDecision(CsrfVerdict.INVALID)


def signature_only(parts: Parts) -> SignatureOnly:
    """The part `sessions`, which asks the state about nobody."""
    return SignatureOnly(
        parts.state.state.sessions,
        secret=parts.settings.signing_secret,
        clock=parts.clock,
        access_ttl_s=parts.settings.access_ttl_s,
    )


def _csrf(parts: Parts) -> Liar:
    return Liar(parts.state.state.csrf, ttl_s=parts.settings.csrf_ttl_s, grace_s=parts.settings.csrf_grace_s)


CONTROL = Control(
    "CSRF-5",
    "While Redis is away, users are told that their token is wrong.",
    {"sessions": signature_only, "csrf": _csrf},
)
