"""Where Redis is, and what the driver needs to be told to connect there."""

import ssl
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from redis.asyncio.connection import Connection, SSLConnection
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_SECONDS = 0.5
"""How long one attempt to connect may take, handshake included; attempts are repeated with a backoff."""


class RedisAddress(Protocol):
    """The shape of the settings that name a server, a Sentinel service or a cluster.

    `service` is the primary's name at Sentinel. `db` is 0 for a cluster. The Sentinel credentials are for the Sentinels
    themselves, the others for the data servers.
    """

    @property
    def kind(self) -> Literal["standalone", "sentinel", "cluster"]: ...
    @property
    def nodes(self) -> Sequence[tuple[str, int]]: ...
    @property
    def service(self) -> str | None: ...
    @property
    def username(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...
    @property
    def db(self) -> int: ...
    @property
    def tls(self) -> bool: ...
    @property
    def tls_ca(self) -> str | None: ...
    @property
    def tls_cert(self) -> str | None: ...
    @property
    def tls_key(self) -> str | None: ...
    @property
    def sentinel_username(self) -> str | None: ...
    @property
    def sentinel_password(self) -> str | None: ...


def new_connection(address: RedisAddress, host: str, port: int, *, client_name: str | None) -> Connection:
    """A connection that is not open yet, with nothing of the driver's implicit behaviour left.

    No retry and no health check; no socket timeout, since the deadline of each call is kept above it (`link.py`).
    """
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "db": address.db,
        "username": address.username,
        "password": address.password,
        "client_name": client_name,
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_read_size": 1 << 17,
        "health_check_interval": 0,
        "retry": Retry(NoBackoff(), 0),
        **tls_options(address),
    }
    return SSLConnection(**options) if address.tls else Connection(**options)


def tls_options(address: RedisAddress) -> dict[str, Any]:
    """The driver's TLS arguments: the server's certificate is verified, by the given authority or the system's."""
    if not address.tls:
        return {}
    return {
        "ssl_ca_certs": address.tls_ca,
        "ssl_certfile": address.tls_cert,
        "ssl_keyfile": address.tls_key,
        "ssl_cert_reqs": "required",
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
    }
