"""Addresses around the service: its database, its provider, its proxies and the origins of its browsers."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from cryptosense.errors import ConfigurationError
from cryptosense.settings.environment import Environment

DEFAULT_DATABASE_URL = "sqlite+aiosqlite:///cryptosense.db"

_DATABASE_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


def database_url(read: Environment) -> str:
    """`DATABASE_URL` with the scheme of its asynchronous driver, as SQLAlchemy wants it.

    Raises:
        ConfigurationError: it is neither SQLite in a file nor PostgreSQL.
    """
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


def http_url(read: Environment, name: str, default: str) -> str:
    """An `http://` or `https://` address without a slash at its end.

    Raises:
        ConfigurationError: it is another scheme's, or carries a query or a fragment.
    """
    url = read.text(name) or default
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise ConfigurationError(f"{name} must be an http:// or https:// address without a query")
    return url.rstrip("/")


def networks(read: Environment, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Addresses and CIDR ranges, separated by commas.

    Raises:
        ConfigurationError: one of them is neither.
    """
    found = []
    for item in (read.text(name) or "").split(","):
        if item.strip():
            try:
                found.append(ip_network(item.strip()))
            except ValueError as error:
                raise ConfigurationError(f"{name} must list addresses or CIDR ranges, not {item.strip()!r}") from error
    return tuple(found)


def origins(read: Environment, name: str) -> tuple[str, ...]:
    """Origins of browsers (`scheme://host[:port]`), separated by commas, to be compared letter by letter.

    Raises:
        ConfigurationError: one has a path, an upper-case letter or a wildcard.
    """
    found = tuple(item.strip() for item in (read.text(name) or "").split(",") if item.strip())
    for origin in found:
        if not re.fullmatch(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", origin):
            raise ConfigurationError(f"{name} must list scheme://host[:port] in lower case, not {origin!r}")
    return found
