"""CONN-1: a frozen Redis holds every request for as long as the driver is willing to wait."""

from cryptosense.controls.control import Control
from cryptosense.http.guards import GuardPlan
from cryptosense.http.parts import Parts
from cryptosense.services.breaker import Breaker
from cryptosense.state import catalog
from cryptosense.state.catalog import OpenState

PATIENCE_MS = 8_200
"""What a request was seen to hang with the plan's client."""


def _redis(parts: Parts) -> OpenState | None:
    settings = parts.settings
    if settings.redis is None:
        return None
    return catalog.open_redis(
        settings.redis, prefix=settings.key_prefix, budget_ms=PATIENCE_MS, client_name="conn-1", observer=parts.events
    )


CONTROL = Control(
    "CONN-1",
    "State calls have no deadline but the client's, and nobody learns from a failure.",
    {
        "redis": _redis,
        "guards": lambda parts: GuardPlan(tuple(parts.checks)),
        "breaker": lambda parts: Breaker(parts.clock, failures=1_000_000),
    },
)
