"""The whole configuration of one instance, and which variable gives which part of it."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

from cryptosense.errors import ConfigurationError
from cryptosense.settings.addresses import DEFAULT_DATABASE_URL, database_url, http_url, networks, origins
from cryptosense.settings.environment import Environment
from cryptosense.settings.policies import PolicySettings, read_policies
from cryptosense.settings.redis_address import RedisSettings, read_redis

StageName = Literal["off", "dualwrite", "shadow", "live", "rampdown", "complete"]
LogLevel = Literal["debug", "info", "warning", "error"]

STAGES: tuple[StageName, ...] = get_args(StageName)
LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)
DEFAULT_COINGECKO_URL = "https://api.coingecko.com/api/v3"
SECRET_BYTES = 32  # HMAC-SHA256 wants a key of its own output's length (RFC 7518, section 3.2)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration of one instance. Durations carry their unit in the name."""

    redis: RedisSettings | None
    signing_secret: str = field(repr=False)
    secret_is_random: bool
    stage: StageName
    stage_file: Path | None
    policies: Mapping[str, PolicySettings]
    database_url: str = field(default=DEFAULT_DATABASE_URL, repr=False)
    coingecko_url: str = DEFAULT_COINGECKO_URL
    coingecko_api_key: str | None = field(default=None, repr=False)
    coingecko_calls_per_minute: int | None = None
    coingecko_timeout_s: float = 5.0
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    ipv6_prefix: int = 64
    allowed_origins: tuple[str, ...] = ()
    instances: int = 1
    key_prefix: str = "cs:"
    state_budget_ms: int = 250
    csrf_ttl_s: int = 86_400
    csrf_grace_s: float = 5.0
    access_ttl_s: int = 900
    refresh_ttl_s: int = 30 * 86_400
    tokens_ttl_s: float = 30.0
    portfolios_ttl_s: float = 60.0
    stale_s: float = 3_600.0
    negative_ttl_s: float = 2.0
    upstream_concurrency: int = 4
    password_workers: int = 2
    password_memory_kib: int = 19_456
    password_rounds: int = 2
    max_body_bytes: int = 65_536
    startup_wait_s: float = 5.0
    drain_s: float = 0.5
    shutdown_grace_s: float = 4.0
    log_level: LogLevel = "info"

    @property
    def database_password(self) -> str | None:
        """The password inside `database_url`, which must not reach a log."""
        password = urlsplit(self.database_url).password
        return unquote(password) if password else None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Reads and checks every variable.

        Raises:
            ConfigurationError: one is missing, malformed or contradicts another; the text is one line.
        """
        read = Environment(environ)
        redis = read_redis(read)
        secret, is_random = _signing_secret(read, shared=redis is not None)
        stage: StageName = read.choice("MIGRATION_STAGE", STAGES, "complete" if redis else "off")
        if stage != "off" and redis is None:
            raise ConfigurationError(
                f"MIGRATION_STAGE is {stage!r} but REDIS_URL is not set; only 'off' needs no Redis"
            )
        stage_file = read.text("MIGRATION_STAGE_FILE")
        return cls(
            redis=redis,
            signing_secret=secret,
            secret_is_random=is_random,
            stage=stage,
            stage_file=Path(stage_file) if stage_file else None,
            policies=read_policies(read),
            database_url=database_url(read),
            coingecko_url=http_url(read, "COINGECKO_URL", DEFAULT_COINGECKO_URL),
            coingecko_api_key=read.text("COINGECKO_API_KEY"),
            coingecko_calls_per_minute=read.whole("COINGECKO_CALLS_PER_MINUTE", 0, least=0, most=100_000) or None,
            coingecko_timeout_s=read.number("COINGECKO_TIMEOUT_S", 5.0, least=0.05, most=60),
            trusted_proxies=networks(read, "TRUSTED_PROXIES"),
            ipv6_prefix=read.whole("IPV6_PREFIX", 64, least=16, most=128),
            allowed_origins=origins(read, "ALLOWED_ORIGINS"),
            instances=read.whole("INSTANCES", 1, least=1, most=10_000),
            key_prefix=_key_prefix(read),
            state_budget_ms=read.whole("STATE_BUDGET_MS", 250, least=1, most=60_000),
            csrf_ttl_s=read.whole("CSRF_TTL_S", 86_400, least=1, most=366 * 86_400),
            csrf_grace_s=read.number("CSRF_GRACE_S", 5.0, least=0, most=3_600),
            access_ttl_s=read.whole("ACCESS_TTL_S", 900, least=1, most=86_400),
            refresh_ttl_s=read.whole("REFRESH_TTL_S", 30 * 86_400, least=1, most=366 * 86_400),
            tokens_ttl_s=read.number("TOKENS_TTL_S", 30.0, least=0.05, most=86_400),
            portfolios_ttl_s=read.number("PORTFOLIOS_TTL_S", 60.0, least=0.05, most=86_400),
            stale_s=read.number("STALE_S", 3_600.0, least=0, most=7 * 86_400),
            negative_ttl_s=read.number("NEGATIVE_TTL_S", 2.0, least=0.05, most=600),
            upstream_concurrency=read.whole("UPSTREAM_CONCURRENCY", 4, least=1, most=1_000),
            password_workers=read.whole("PASSWORD_WORKERS", 2, least=1, most=64),
            password_memory_kib=read.whole("PASSWORD_MEMORY_KIB", 19_456, least=8, most=4_194_304),
            password_rounds=read.whole("PASSWORD_ROUNDS", 2, least=1, most=100),
            max_body_bytes=read.whole("MAX_BODY_BYTES", 65_536, least=1_024, most=64 * 1_048_576),
            startup_wait_s=read.number("STARTUP_WAIT_S", 5.0, least=0, most=120),
            drain_s=read.number("DRAIN_S", 0.5, least=0, most=3),
            shutdown_grace_s=read.number("SHUTDOWN_GRACE_S", 4.0, least=1, most=5),
            log_level=read.choice("LOG_LEVEL", LOG_LEVELS, "info"),
        )


def _signing_secret(read: Environment, *, shared: bool) -> tuple[str, bool]:
    secret = read.text("SIGNING_SECRET")
    if secret is None:
        if shared:
            raise ConfigurationError("SIGNING_SECRET is not set; with REDIS_URL all instances need the same one")
        return secrets.token_hex(SECRET_BYTES), True
    if len(secret.encode()) < SECRET_BYTES:
        raise ConfigurationError(f"SIGNING_SECRET must have at least {SECRET_BYTES} bytes, not {len(secret.encode())}")
    return secret, False


def _key_prefix(read: Environment) -> str:
    prefix = read.text("KEY_PREFIX") or "cs:"
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", prefix):
        raise ConfigurationError(f"KEY_PREFIX may hold letters, digits and . _ : - (at most 64), not {prefix!r}")
    return prefix
