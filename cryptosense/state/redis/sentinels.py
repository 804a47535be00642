"""Asks the sentinels of a service which server is its primary now."""

from typing import Any

from redis.asyncio import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import RedisError
from redis.retry import Retry

from cryptosense.errors import ConfigurationError
from cryptosense.state.redis.address import RedisAddress, tls_options
from cryptosense.state.redis.failures import described

ANSWER_SECONDS = 0.25
"""How long one sentinel may take to answer before the next one is asked."""


class Sentinels:
    """One client for each sentinel; the one that answered last is asked first.

    redis-py's own `Sentinel` reads SENTINEL MASTERS, in which the sentinel that leads a failover shows the old primary
    until all replicas have been told, a second or more after the new one was promoted. What Redis tells clients to ask
    is SENTINEL GET-MASTER-ADDR-BY-NAME ("Guidelines for Redis clients with support for Redis Sentinel").

    Raises:
        ConfigurationError: the address names no service.
    """

    def __init__(self, address: RedisAddress, *, client_name: str | None) -> None:
        if not address.service:
            raise ConfigurationError("Sentinel needs the name of a service")
        self._service = address.service
        options: dict[str, Any] = {
            "username": address.sentinel_username,
            "password": address.sentinel_password,
            "socket_timeout": ANSWER_SECONDS,
            "socket_connect_timeout": ANSWER_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
            "client_name": client_name,
            **({"ssl": True, **tls_options(address)} if address.tls else {}),
        }
        self._clients = [Redis(host=host, port=port, **options) for host, port in address.nodes]

    async def primary(self) -> tuple[str, int]:
        """Host and port of the primary.

        Raises:
            redis.exceptions.ConnectionError: no sentinel names one that it does not call down itself.
        """
        refusals = []
        for client in tuple(self._clients):
            try:
                named = await self._named_by(client)
            except (RedisError, OSError, TimeoutError) as error:
                refusals.append(described(error))
                continue
            self._clients.remove(client)
            self._clients.insert(0, client)
            return named
        raise NoConnection(f"no sentinel names a primary of {self._service}: {'; '.join(refusals)}")

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    async def _named_by(self, client: Redis) -> tuple[str, int]:
        watched: Any = await client.sentinel_master(self._service, return_responses=True)
        named: Any = await client.sentinel_get_master_addr_by_name(self._service, return_responses=True)
        host, port = named[0], int(named[1])
        if (watched["is_sdown"] or watched["is_odown"]) and (host, port) == (watched["ip"], watched["port"]):
            raise NoConnection(f"{host}:{port} is called down")
        return host, port
