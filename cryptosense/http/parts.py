"""What decides inside one instance: its state and its services, and how each is built from the others."""

import logging
import math
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import Any

from cryptosense.clock import Clock, SystemClock
from cryptosense.http.frame import Drain
from cryptosense.http.metrics import StateEvents
from cryptosense.http.part import Assembly, Part
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
from cryptosense.state.deadline import current_budget

_state_log = logging.getLogger("cryptosense.state")


class Parts(Assembly):
    """The state and the services of one instance.

    Attributes:
        settings: what they are built from.
        instance: a name that no other instance has.
        drain: whether the instance is leaving.

    Raises:
        TypeError: a replacement for a part that does not exist.
    """

    def __init__(self, settings: Settings, **replacements: Callable[[Any], Any]) -> None:
        super().__init__(**replacements)
        self.settings = settings
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


def _budget_left_ms() -> float:
    budget = current_budget()
    return math.inf if budget is None else budget.left() * 1000


def _log_state_event(name: str, fields: dict[str, object]) -> None:
    level = logging.INFO if name in {"connect", "ready", "topology"} else logging.WARNING
    _state_log.log(level, "state: %s", name, extra={"event": name, **fields})
