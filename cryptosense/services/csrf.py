"""CSRF tokens: bound to a session, rotated by every accepted use."""

from dataclasses import dataclass
from enum import StrEnum

from cryptosense.state.contracts import CsrfState


class CsrfVerdict(StrEnum):
    ACCEPTED = "accepted"
    MISSING = "missing"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class CsrfDecision:
    verdict: CsrfVerdict
    successor: str | None = None  # what the answer delivers in X-CSRF-Token, when accepted

    @property
    def accepted(self) -> bool: ...


class CsrfTokens:
    """StateUnavailable, OutcomeUnknown and StateCorrupt propagate from every method: 503."""

    def __init__(self, state: CsrfState, *, ttl_s: float = 86_400, grace_s: float = 5.0) -> None: ...
    async def current(self, session: str) -> str: ...
    async def validate(self, session: str, presented: str | None) -> CsrfDecision: ...
    async def rotate(self, session: str) -> str: ...
    async def revoke(self, session: str) -> None: ...
    async def sweep_orphans(self) -> int: ...
