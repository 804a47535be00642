"""One instance: its guards, its figures and its lifecycle, wired to the state and the services in `parts`.

`assemble_reference(settings)` gives the service as it should be. Somebody who wants one part different says how that
one is built, and whatever stands on it is built on the replacement:

    assemble_reference(settings, csrf=lambda parts: ForgetfulTokens(parts.state.state.csrf))
    assemble_reference(settings, checks=lambda parts: [c for c in Instance.checks.build(parts) if not spoilt(c)])
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from prometheus_client import CollectorRegistry

from cryptosense.http.guards import (
    BodySize,
    Check,
    CsrfProtected,
    GuardPlan,
    Limited,
    LiveSession,
    SameOrigin,
    SignedBearer,
)
from cryptosense.http.health import Health
from cryptosense.http.lifecycle import Lifecycle
from cryptosense.http.logs import AccessLog
from cryptosense.http.metrics import RequestFigures, new_registry
from cryptosense.http.part import Part
from cryptosense.http.parts import Parts
from cryptosense.http.readings import Debt, readings_of
from cryptosense.settings import Settings
from cryptosense.state.deadline import deadline

Replacement = Callable[["Instance"], Any]


class Instance(Parts):
    """The parts of one instance, as the app and its routes see them."""

    @Part
    def checks(self) -> Sequence[Check]:
        """The guards, in the order in which they run."""
        return [
            BodySize(self.settings.max_body_bytes),
            SameOrigin(self.settings.allowed_origins),
            SignedBearer(self.sessions),
            Limited(self.limiter, self.identities, refresh_tokens=self.sessions, clock=self.clock),
            LiveSession(self.sessions),
            CsrfProtected(self.csrf),
        ]

    @Part
    def guards(self) -> GuardPlan:
        """The guards under one deadline for all state calls of a request."""
        return GuardPlan(tuple(self.checks), deadline=self.open_deadline)

    def open_deadline(self) -> AbstractContextManager[Any]:
        """The budget of one request's state calls."""
        return deadline(self.settings.state_budget_ms)

    @Part
    def health(self) -> Health:
        """What the health routes say."""
        return Health(
            database=self.database.ping,
            redis=None if self.redis is None else self.redis.ping,
            stages=self.stages,
            breaker=self.breaker,
            drain=self.drain,
            clock=self.clock,
        )

    @Part
    def debt(self) -> Debt:
        """What a rollback would lose."""
        return Debt()

    @Part
    def registry(self) -> CollectorRegistry:
        """Every figure of the instance."""
        registry = new_registry()
        registry.register(readings_of(self, self.debt))
        return registry

    @Part
    def figures(self) -> RequestFigures:
        """Figures of requests."""
        return RequestFigures(self.registry)

    @Part
    def access(self) -> AccessLog:
        """A line for each request."""
        return AccessLog(enabled=self.settings.log_level in {"debug", "info"})

    @Part
    def lifecycle(self) -> Lifecycle:
        """Start, background work and shutdown, in their order."""
        return Lifecycle(self)


def assemble_reference(settings: Settings, **replacements: Replacement) -> Instance:
    """The reference service, with the named parts built otherwise.

    Raises:
        ConfigurationError: a setting does not fit the part that reads it.
        TypeError: a replacement for a part that does not exist.
    """
    return Instance(settings, **replacements).assemble()
