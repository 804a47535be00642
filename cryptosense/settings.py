"""Every setting of the service, read from the environment once.

`Settings.from_environment` either gives a whole, checked object or raises `ConfigurationError` with one line that
names the variable. An empty variable counts as unset. Secrets are left out of every repr.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args
from urllib.parse import SplitResult, unquote, urlsplit

from cryptosense.errors import ConfigurationError

RedisKind = Literal["standalone", "sentinel", "cluster"]
StageName = Literal["off", "dualwrite", "shadow", "live", "rampdown", "complete"]
AlgorithmName = Literal["log", "counter", "gcra"]
OutagePolicy = Literal["insure", "refuse", "admit"]
PolicyName = Literal["auth", "api", "strict"]
LogLevel = Literal["debug", "info", "warning", "error"]

STAGES: tuple[StageName, ...] = get_args(StageName)
ALGORITHMS: tuple[AlgorithmName, ...] = get_args(AlgorithmName)
OUTAGE_POLICIES: tuple[OutagePolicy, ...] = get_args(OutagePolicy)
LOG_LEVELS: tuple[LogLevel, ...] = get_args(LogLevel)
POLICIES: Mapping[PolicyName, tuple[int, int]] = {"auth": (5, 900_000), "api": (100, 900_000), "strict": (10, 60_000)}
DEFAULT_DATABASE_URL = "sqlite+aiosqlite:///cryptosense.db"
DEFAULT_COINGECKO_URL = "https://api.coingecko.com/api/v3"
SECRET_BYTES = 32  # HMAC-SHA256 wants a key of its own output's length (RFC 7518, section 3.2)

_DEFAULT_PORT: Mapping[RedisKind, int] = {"standalone": 6379, "sentinel": 26379, "cluster": 6379}
_DATABASE_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where the shared state lies. `service` is the primary's name at Sentinel."""

    kind: RedisKind
    nodes: tuple[tuple[str, int], ...]
    service: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: bool = False
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """One named limiter: `limit` per `window_ms`, and what happens while the state is out of reach."""

    name: str
    limit: int
    window_ms: int
    algorithm: AlgorithmName = "log"
    on_outage: OutagePolicy = "insure"


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
        read = _Reader(environ)
        redis = _redis(read)
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
            policies=_policies(read),
            database_url=_database_url(read),
            coingecko_url=_http_url(read, "COINGECKO_URL", DEFAULT_COINGECKO_URL),
            coingecko_api_key=read.text("COINGECKO_API_KEY"),
            coingecko_calls_per_minute=read.whole("COINGECKO_CALLS_PER_MINUTE", 0, least=0, most=100_000) or None,
            coingecko_timeout_s=read.number("COINGECKO_TIMEOUT_S", 5.0, least=0.05, most=60),
            trusted_proxies=_networks(read, "TRUSTED_PROXIES"),
            ipv6_prefix=read.whole("IPV6_PREFIX", 64, least=16, most=128),
            allowed_origins=_origins(read, "ALLOWED_ORIGINS"),
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


_Choice = TypeVar("_Choice", bound=str)


class _Reader:
    """Typed access to the environment; each method names the variable when it refuses."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def text(self, name: str) -> str | None:
        value = self.environ.get(name, "").strip()
        if any(ord(letter) < 32 for letter in value):
            raise ConfigurationError(f"{name} holds a control character")
        return value or None

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        text = self.text(name)
        if text is None:
            return default
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise ConfigurationError(f"{name} must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        text = self.text(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:  # also false for NaN
            raise ConfigurationError(f"{name} must be a number from {least:g} to {most:g}, not {text!r}")
        return value

    def yes(self, name: str) -> bool | None:
        text = self.text(name)
        if text is None:
            return None
        if text.lower() not in {"true", "false", "1", "0", "yes", "no"}:
            raise ConfigurationError(f"{name} must be true or false, not {text!r}")
        return text.lower() in {"true", "1", "yes"}

    def choice(self, name: str, names: tuple[_Choice, ...], default: _Choice) -> _Choice:
        text = self.text(name)
        if text is None:
            return default
        if text not in names:
            raise ConfigurationError(f"{name} must be one of {', '.join(names)}, not {text!r}")
        return names[names.index(text)]


def _signing_secret(read: _Reader, *, shared: bool) -> tuple[str, bool]:
    secret = read.text("SIGNING_SECRET")
    if secret is None:
        if shared:
            raise ConfigurationError("SIGNING_SECRET is not set; with REDIS_URL all instances need the same one")
        return secrets.token_hex(SECRET_BYTES), True
    if len(secret.encode()) < SECRET_BYTES:
        raise ConfigurationError(f"SIGNING_SECRET must have at least {SECRET_BYTES} bytes, not {len(secret.encode())}")
    return secret, False


def _policies(read: _Reader) -> dict[str, PolicySettings]:
    for name in read.environ:
        found = re.fullmatch(r"RATE_LIMIT_(.+?)_(MAX|WINDOW_MS|ALGORITHM|ON_OUTAGE)", name)
        if found and found[1] not in {policy.upper() for policy in POLICIES}:
            raise ConfigurationError(f"{name} names a policy that does not exist; there are {', '.join(POLICIES)}")
    policies = {}
    for policy, (limit, window_ms) in POLICIES.items():
        prefix = f"RATE_LIMIT_{policy.upper()}"
        outage = read.choice(f"{prefix}_ON_OUTAGE", OUTAGE_POLICIES, "insure")
        if outage == "admit" and policy != "api":
            raise ConfigurationError(f"{prefix}_ON_OUTAGE must be insure or refuse: {policy} guards what costs most")
        policies[policy] = PolicySettings(
            name=policy,
            limit=read.whole(f"{prefix}_MAX", limit, least=1, most=1_000_000),
            window_ms=read.whole(f"{prefix}_WINDOW_MS", window_ms, least=1, most=7 * 86_400_000),
            algorithm=read.choice(f"{prefix}_ALGORITHM", ALGORITHMS, "log"),
            on_outage=outage,
        )
    return policies  # type: ignore[return-value]  # the keys are the three names


def _redis(read: _Reader) -> RedisSettings | None:
    url = read.text("REDIS_URL")
    if url is None:
        alone = [name for name in ("REDIS_PASSWORD", "REDIS_USERNAME", "REDIS_TLS", "REDIS_DB") if read.text(name)]
        if alone and not (alone == ["REDIS_TLS"] and not read.yes("REDIS_TLS")):
            raise ConfigurationError(f"{alone[0]} is set but REDIS_URL is not")
        return None
    parts = _split(url)
    secure, kind = _scheme(parts.scheme)
    service, path_db = _path(parts.path, kind)
    db = _database_number(read, path_db, kind)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    tls = read.yes("REDIS_TLS")
    if secure and tls is False:
        raise ConfigurationError("REDIS_TLS is false but REDIS_URL asks for TLS")
    ca, cert, key = (_file(read, f"REDIS_TLS_{part}") for part in ("CA", "CERT", "KEY"))
    if (cert is None) != (key is None):
        raise ConfigurationError("REDIS_TLS_CERT and REDIS_TLS_KEY belong together; one of them is not set")
    if (ca or cert) and not (secure or tls):
        raise ConfigurationError("REDIS_TLS_CA or REDIS_TLS_CERT is set but TLS is not on")
    if kind != "sentinel" and (read.text("SENTINEL_USERNAME") or read.text("SENTINEL_PASSWORD")):
        raise ConfigurationError("SENTINEL_USERNAME or SENTINEL_PASSWORD is set but REDIS_URL names no Sentinel")
    return RedisSettings(
        kind=kind,
        nodes=_nodes(hosts, kind),
        service=service,
        username=_agreed("REDIS_USERNAME", unquote(user) or None, read.text("REDIS_USERNAME")),
        password=_agreed("REDIS_PASSWORD", unquote(password) or None, read.text("REDIS_PASSWORD")),
        db=db,
        tls=bool(secure or tls),
        tls_ca=ca,
        tls_cert=cert,
        tls_key=key,
        sentinel_username=read.text("SENTINEL_USERNAME"),
        sentinel_password=read.text("SENTINEL_PASSWORD"),
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigurationError("REDIS_URL is not a URL") from error
    if parts.query or parts.fragment:
        raise ConfigurationError(
            "REDIS_URL must not carry options after '?' or '#'; encode them in a password as %3F, %23"
        )
    return parts


def _scheme(scheme: str) -> tuple[bool, RedisKind]:
    transport, _, topology = scheme.partition("+")
    if transport not in {"redis", "rediss"} or topology not in {"", "sentinel", "cluster"}:
        raise ConfigurationError(
            "REDIS_URL must begin with redis://, rediss://, redis+sentinel:// or redis+cluster://"
            + (f", not {scheme}://" if scheme else "")
        )
    return transport == "rediss", cast("RedisKind", topology or "standalone")


def _path(path: str, kind: RedisKind) -> tuple[str | None, str | None]:
    """The Sentinel service and the database number's text, from the path of the URL."""
    steps = [unquote(step) for step in path.strip("/").split("/") if step]
    if kind == "sentinel":
        if not 1 <= len(steps) <= 2:
            raise ConfigurationError(
                "REDIS_URL for Sentinel must end with the service's name: host:port,host:port/service"
            )
        return steps[0], steps[1] if len(steps) == 2 else None
    if len(steps) > 1:
        raise ConfigurationError("REDIS_URL has more in its path than a database number")
    return None, steps[0] if steps else None


def _database_number(read: _Reader, from_url: str | None, kind: RedisKind) -> int:
    if from_url is not None and not re.fullmatch(r"[0-9]{1,5}", from_url):
        raise ConfigurationError("REDIS_URL must end with a database number")
    alone = read.whole("REDIS_DB", 0, least=0, most=99_999) if read.text("REDIS_DB") else None
    db = _agreed("REDIS_DB", int(from_url) if from_url else None, alone) or 0
    if kind == "cluster" and db != 0:
        raise ConfigurationError(f"a Redis Cluster has only database 0, not {db}")
    return db


_Part = TypeVar("_Part", str, int)


def _agreed(name: str, in_url: _Part | None, alone: _Part | None) -> _Part | None:
    if in_url is not None and alone is not None and in_url != alone:
        raise ConfigurationError(f"{name} and REDIS_URL name different values; set one of them")
    return alone if in_url is None else in_url


def _nodes(hosts: str, kind: RedisKind) -> tuple[tuple[str, int], ...]:
    nodes = []
    for node in hosts.split(","):
        found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?", node)
        port = int(found[3]) if found and found[3] else _DEFAULT_PORT[kind]
        if not found or not 0 < port < 65_536:
            raise ConfigurationError(
                "REDIS_URL must name host:port, with / ? # @ in a password written as %2F %3F %23 %40"
            )
        nodes.append((found[1] or found[2], port))
    if kind == "standalone" and len(nodes) > 1:
        raise ConfigurationError("REDIS_URL names several hosts; use redis+sentinel:// or redis+cluster://")
    return tuple(nodes)


def _file(read: _Reader, name: str) -> str | None:
    path = read.text(name)
    if path is not None and not Path(path).is_file():
        raise ConfigurationError(f"{name} names a file that does not exist: {path}")
    return path


def _database_url(read: _Reader) -> str:
    url = read.text("DATABASE_URL") or DEFAULT_DATABASE_URL
    scheme, separator, rest = url.partition("://")
    driver = _DATABASE_DRIVERS.get(scheme)
    if driver is None or not separator or not rest.strip("/"):
        raise ConfigurationError("DATABASE_URL must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE")
    if ":memory:" in rest:
        raise ConfigurationError(
            "DATABASE_URL must name a file: a SQLite database in memory is gone with its connection"
        )
    return f"{driver}://{rest}"


def _http_url(read: _Reader, name: str, default: str) -> str:
    url = read.text(name) or default
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise ConfigurationError(f"{name} must be an http:// or https:// address without a query")
    return url.rstrip("/")


def _networks(read: _Reader, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    networks = []
    for item in (read.text(name) or "").split(","):
        if item.strip():
            try:
                networks.append(ip_network(item.strip()))
            except ValueError as error:
                raise ConfigurationError(f"{name} must list addresses or CIDR ranges, not {item.strip()!r}") from error
    return tuple(networks)


def _origins(read: _Reader, name: str) -> tuple[str, ...]:
    origins = tuple(item.strip() for item in (read.text(name) or "").split(",") if item.strip())
    for origin in origins:
        if not re.fullmatch(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", origin):
            raise ConfigurationError(f"{name} must list scheme://host[:port] in lower case, not {origin!r}")
    return origins


def _key_prefix(read: _Reader) -> str:
    prefix = read.text("KEY_PREFIX") or "cs:"
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", prefix):
        raise ConfigurationError(f"KEY_PREFIX may hold letters, digits and . _ : - (at most 64), not {prefix!r}")
    return prefix
