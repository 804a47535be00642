"""Every part of one instance, and how each is built from the others.

`assemble_reference(settings)` gives the service as it should be. Somebody who wants one part different says how that
one is built, and whatever stands on it is built on the replacement:

    assemble_reference(settings, csrf=lambda parts: ForgetfulTokens(parts.state.state.csrf))
    assemble_reference(settings, checks=lambda parts: [c for c in Parts.checks.build(parts) if not spoilt(c)])

`Parts.NAME.build(parts)` is the reference's own way to build a part, for a replacement that wraps it.
"""

import logging
import math
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar, overload

from prometheus_client import CollectorRegistry

from cryptosense.clock import Clock, SystemClock
from cryptosense.http.frame import Drain
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
from cryptosense.http.metrics import RequestFigures, StateEvents, new_registry
from cryptosense.http.readings import Debt, readings_of
from cryptosense.http.stages import Stages
from cryptosense.services.accounts import Accounts
from cryptosense.services.breaker import Breaker
from cryptosense.services.cache import Cache
from cryptosense.services.coingecko import CoinGecko
from cryptosense.services.csrf import CsrfTokens
from cryptosense.services.database import Database
from cryptosense.services.identity import ClientIdentities
from cryptosense.services.insights import Insights
from cryptosense.services.insurance import Insurance
from cryptosense.services.market_data import MarketData
from cryptosense.services.passwords import Passwords
from cryptosense.services.policy import OnOutage, Policy
from cryptosense.services.portfolios import Portfolios
from cryptosense.services.price_updater import PriceUpdater
from cryptosense.services.rate_limit import RateLimiter
from cryptosense.services.sessions import Sessions
from cryptosense.settings import Settings
from cryptosense.state import catalog
from cryptosense.state.contracts import Algorithm
from cryptosense.state.deadline import current_budget, deadline

_state_log = logging.getLogger("cryptosense.state")
_Built = TypeVar("_Built")
Replacement = Callable[["Parts"], Any]


class Part(Generic[_Built]):
    """A part of `Parts`, built when it is first asked for: by its replacement where there is one."""

    def __init__(self, build: Callable[["Parts"], _Built]) -> None:
        self.build = build
        self._name = build.__name__
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, parts: None, owner: type["Parts"]) -> "Part[_Built]": ...
    @overload
    def __get__(self, parts: "Parts", owner: type["Parts"]) -> _Built: ...
    def __get__(self, parts: "Parts | None", owner: type["Parts"]) -> "Part[_Built] | _Built":
        if parts is None:
            return self
        built: _Built = parts.replacements.get(self._name, self.build)(parts)
        parts.__dict__[self._name] = built  # found before this descriptor from now on
        return built


class Parts:
    """The parts of one instance.

    Raises:
        TypeError: a replacement for a part that does not exist.
    """

    def __init__(self, settings: Settings, **replacements: Replacement) -> None:
        unknown = [name for name in replacements if not isinstance(vars(Parts).get(name), Part)]
        if unknown:
            raise TypeError(f"there is no part {unknown[0]!r} to replace")
        self.settings = settings
        self.replacements = replacements
        self.instance = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.drain = Drain()

    @Part
    def clock(self) -> Clock:
        """The instance's own clock; the state has its own."""
        return SystemClock()

    @Part
    def events(self) -> StateEvents:
        """Hears what the state has to say."""
        return StateEvents(_log_state_event)

    @Part
    def stages(self) -> Stages:
        """The migration's stage, and the file that switches it."""
        return Stages(self.settings)

    @Part
    def redis(self) -> catalog.OpenState | None:
        """The shared state by itself; its options are the connection's."""
        settings = self.settings
        if settings.redis is None:
            return None
        return catalog.open_redis(
            settings.redis,
            prefix=settings.key_prefix,
            budget_ms=settings.state_budget_ms,
            client_name=f"cryptosense-{os.getpid()}",
            observer=self.events,
        )

    @Part
    def state(self) -> catalog.OpenState:
        """What everything is remembered in: memory, Redis, or both joined while the stage can change."""
        redis = self.redis
        if redis is None:
            return catalog.open_memory(self.clock)
        if self.stages.fixed and self.stages.name == "complete":
            return redis
        return catalog.open_joined(catalog.open_memory(self.clock), redis, self.stages.switch, observer=self.events)

    @Part
    def breaker(self) -> Breaker:
        """Knows whether asking the state is worth it."""
        return Breaker(self.clock)

    @Part
    def identities(self) -> ClientIdentities:
        """Who a request counts against."""
        return ClientIdentities(
            trusted_proxies=[str(network) for network in self.settings.trusted_proxies],
            ipv6_prefix=self.settings.ipv6_prefix,
        )

    @Part
    def policies(self) -> Sequence[Policy]:
        """The named limits."""
        return [
            Policy(policy.name, policy.limit, policy.window_ms, Algorithm(policy.algorithm), OnOutage(policy.on_outage))
            for policy in self.settings.policies.values()
        ]

    @Part
    def limiter(self) -> RateLimiter:
        """Admits or denies."""
        return RateLimiter(
            self.state.state.windows,
            self.policies,
            Insurance(self.clock),
            self.breaker,
            self.clock,
            instances=self.settings.instances,
            budget_left_ms=_budget_left_ms,
        )

    @Part
    def csrf(self) -> CsrfTokens:
        """The CSRF tokens."""
        return CsrfTokens(self.state.state.csrf, ttl_s=self.settings.csrf_ttl_s, grace_s=self.settings.csrf_grace_s)

    @Part
    def sessions(self) -> Sessions:
        """Access tokens and the sessions behind them; while memory counts, a signature is believed."""
        return Sessions(
            self.state.state.sessions,
            secret=self.settings.signing_secret,
            clock=self.clock,
            access_ttl_s=self.settings.access_ttl_s,
            refresh_ttl_s=self.settings.refresh_ttl_s,
            believes_unknown=self.stages.memory_counts,
        )

    @Part
    def cache(self) -> Cache:
        """Answers as bytes."""
        return Cache(
            self.state.state.cache,
            self.clock,
            breaker=self.breaker,
            upstream_concurrency=self.settings.upstream_concurrency,
        )

    @Part
    def database(self) -> Database:
        """The durable things."""
        return Database(self.settings.database_url)

    @Part
    def passwords(self) -> Passwords:
        """argon2id in a bounded pool."""
        return Passwords(
            time_cost=self.settings.password_rounds,
            memory_kib=self.settings.password_memory_kib,
            workers=self.settings.password_workers,
        )

    @Part
    def accounts(self) -> Accounts:
        """Users."""
        return Accounts(self.database, self.passwords, self.sessions, self.csrf, self.clock)

    @Part
    def coingecko(self) -> CoinGecko:
        """The market data provider's client."""
        return CoinGecko(
            self.settings.coingecko_url,
            self.state.state.windows,
            self.clock,
            api_key=self.settings.coingecko_api_key,
            calls_per_minute=self.settings.coingecko_calls_per_minute,
            timeout_s=self.settings.coingecko_timeout_s,
        )

    @Part
    def market(self) -> MarketData:
        """Market data, cached."""
        return MarketData(
            self.cache,
            self.coingecko,
            clock=self.clock,
            ttl_s=self.settings.tokens_ttl_s,
            stale_s=self.settings.stale_s,
            negative_s=self.settings.negative_ttl_s,
        )

    @Part
    def portfolios(self) -> Portfolios:
        """Portfolios, cached."""
        return Portfolios(self.database, self.cache, self.clock, ttl_s=self.settings.portfolios_ttl_s)

    @Part
    def insights(self) -> Insights:
        """Predictions and risk, cached."""
        return Insights(self.cache, self.market, self.clock)

    @Part
    def updater(self) -> PriceUpdater:
        """Refreshes hot lists in the background."""
        return PriceUpdater(self.market, self.state.state.leaders, self.clock, instance=self.instance)

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
        registry.register(readings_of(self))
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

    def assemble(self) -> "Parts":
        """Builds every part now, so that a wrong setting is found before anything is served."""
        for name, value in vars(Parts).items():
            if isinstance(value, Part):
                getattr(self, name)
        return self


def assemble_reference(settings: Settings, **replacements: Replacement) -> Parts:
    """The reference service, with the named parts built otherwise.

    Raises:
        ConfigurationError: a setting does not fit the part that reads it.
        TypeError: a replacement for a part that does not exist.
    """
    return Parts(settings, **replacements).assemble()


def _budget_left_ms() -> float:
    budget = current_budget()
    return math.inf if budget is None else budget.left() * 1000


def _log_state_event(name: str, fields: dict[str, object]) -> None:
    level = logging.INFO if name in {"connect", "ready", "topology"} else logging.WARNING
    _state_log.log(level, "state: %s", name, extra={"event": name, **fields})
