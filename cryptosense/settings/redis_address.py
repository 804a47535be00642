"""Where the shared state lies: the forms of `REDIS_URL`, and the variables that say what it leaves out.

    redis://user:password@host:port/db                one server; the port is 6379 and the database 0 unless named
    redis+sentinel://host:port,host:port/service/db   the primary that these sentinels know by that name (port 26379)
    redis+cluster://host:port,host:port               a Cluster, by any of its nodes

`rediss` in place of `redis` asks for TLS, in every form. What the URL and a variable both say must agree.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar, cast
from urllib.parse import SplitResult, unquote, urlsplit

from cryptosense.errors import ConfigurationError
from cryptosense.settings.environment import Environment

RedisKind = Literal["standalone", "sentinel", "cluster"]

_DEFAULT_PORT: Mapping[RedisKind, int] = {"standalone": 6379, "sentinel": 26379, "cluster": 6379}
_Part = TypeVar("_Part", str, int)


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


def read_redis(read: Environment) -> RedisSettings | None:
    """The address in `REDIS_URL` and its companions; None where no Redis is named.

    Raises:
        ConfigurationError: a part is malformed, contradicts another, or stands without what it belongs to.
    """
    url = read.text("REDIS_URL")
    if url is None:
        _refuse_companions(read)
        return None
    parts = _split(url)
    secure, kind = _scheme(parts.scheme)
    service, path_db = _path(parts.path, kind)
    db = _database_number(read, path_db, kind)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    tls = _tls(read, asked=secure)
    ca, cert, key = _tls_files(read, tls=tls)
    if kind != "sentinel" and (read.text("SENTINEL_USERNAME") or read.text("SENTINEL_PASSWORD")):
        raise ConfigurationError("SENTINEL_USERNAME or SENTINEL_PASSWORD is set but REDIS_URL names no Sentinel")
    return RedisSettings(
        kind=kind,
        nodes=_nodes(hosts, kind),
        service=service,
        username=_agreed("REDIS_USERNAME", unquote(user) or None, read.text("REDIS_USERNAME")),
        password=_agreed("REDIS_PASSWORD", unquote(password) or None, read.text("REDIS_PASSWORD")),
        db=db,
        tls=tls,
        tls_ca=ca,
        tls_cert=cert,
        tls_key=key,
        sentinel_username=read.text("SENTINEL_USERNAME"),
        sentinel_password=read.text("SENTINEL_PASSWORD"),
    )


def _refuse_companions(read: Environment) -> None:
    """What only says more about an address means nothing without one."""
    alone = [name for name in ("REDIS_PASSWORD", "REDIS_USERNAME", "REDIS_TLS", "REDIS_DB") if read.text(name)]
    if alone and not (alone == ["REDIS_TLS"] and not read.yes("REDIS_TLS")):
        raise ConfigurationError(f"{alone[0]} is set but REDIS_URL is not")


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


def _database_number(read: Environment, from_url: str | None, kind: RedisKind) -> int:
    if from_url is not None and not re.fullmatch(r"[0-9]{1,5}", from_url):
        raise ConfigurationError("REDIS_URL must end with a database number")
    alone = read.whole("REDIS_DB", 0, least=0, most=99_999) if read.text("REDIS_DB") else None
    db = _agreed("REDIS_DB", int(from_url) if from_url else None, alone) or 0
    if kind == "cluster" and db != 0:
        raise ConfigurationError(f"a Redis Cluster has only database 0, not {db}")
    return db


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


def _tls(read: Environment, *, asked: bool) -> bool:
    """Whether connections are encrypted; `asked` is what the URL says."""
    said = read.yes("REDIS_TLS")
    if asked and said is False:
        raise ConfigurationError("REDIS_TLS is false but REDIS_URL asks for TLS")
    return asked or bool(said)


def _tls_files(read: Environment, *, tls: bool) -> tuple[str | None, str | None, str | None]:
    """The authority's certificate, the client's own, and its key."""
    ca, cert, key = (_file(read, f"REDIS_TLS_{part}") for part in ("CA", "CERT", "KEY"))
    if (cert is None) != (key is None):
        raise ConfigurationError("REDIS_TLS_CERT and REDIS_TLS_KEY belong together; one of them is not set")
    if (ca or cert) and not tls:
        raise ConfigurationError("REDIS_TLS_CA or REDIS_TLS_CERT is set but TLS is not on")
    return ca, cert, key


def _file(read: Environment, name: str) -> str | None:
    path = read.text(name)
    if path is not None and not Path(path).is_file():
        raise ConfigurationError(f"{name} names a file that does not exist: {path}")
    return path
