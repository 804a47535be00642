"""A store that the user named: nothing on it is flushed, frozen or reconfigured, and only the run's own keys go."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis.asyncio
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from cryptosense.errors import CouldNotStart, UsageError
from cryptosense.settings import RedisSettings, Settings
from cryptosense.workbench.deployment import Process, StoreKind
from cryptosense.workbench.topology.servers import CLIENT_SECONDS

_BATCH = 500


class GivenStore:
    """Implements `deployment.Store` for a server of the user's. Every key of the run has a prefix of its own."""

    kind = StoreKind.GIVEN

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"cs-{secrets.token_hex(6)}:"
        self._settings = _settings(url)

    @property
    def redacted(self) -> str:
        parts = urlsplit(self.url)
        _, at, hosts = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"***@{hosts}" if at else hosts))

    @property
    def servers(self) -> Sequence[Process]:
        return ()

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings with which a service finds this store and keeps to its own keys."""
        return {"REDIS_URL": self.url, "KEY_PREFIX": self.prefix}

    async def primary(self) -> Process:
        """There is none.

        Raises:
            UsageError: always; the run holds no process of a given server.
        """
        raise UsageError("the run did not start this server and holds no process of it")

    async def info(self, section: str = "default") -> Mapping[str, str]:
        """`INFO` of the (first) primary.

        Raises:
            CouldNotStart: it does not answer.
        """
        try:
            async with self._primaries() as clients:
                untyped: Any = clients[0]
                untyped.set_response_callback("INFO", lambda reply, **_: reply)
                reply: str = await untyped.execute_command("INFO", section)
        except (RedisError, OSError) as error:
            raise CouldNotStart(f"the given server {self.redacted} does not answer: {error}") from None
        return dict(line.split(":", 1) for line in reply.splitlines() if ":" in line)

    async def remove_own_keys(self) -> int:
        """UNLINK of every key with the run's prefix, on every shard; how many there were."""
        removed = 0
        async with self._primaries() as clients:
            for client in clients:
                batch = [key async for key in client.scan_iter(match=f"{self.prefix}*", count=_BATCH)]
                for start in range(0, len(batch), _BATCH):
                    # One key a command: on a Cluster a command's keys must share a slot.
                    pipeline = client.pipeline(transaction=False)
                    for key in batch[start : start + _BATCH]:
                        pipeline.unlink(key)
                    removed += sum(await pipeline.execute())
        return removed

    @asynccontextmanager
    async def _primaries(self) -> AsyncIterator[list["redis.asyncio.Redis"]]:
        """A plain connection to each primary."""
        clients: list[redis.asyncio.Redis] = []
        try:
            for host, port in await self._primary_addresses():
                clients.append(redis.asyncio.Redis(host=host, port=port, db=self._settings.db, **self._options()))
            yield clients
        finally:
            for client in clients:
                await client.aclose()

    async def _primary_addresses(self) -> list[tuple[str, int]]:
        settings = self._settings
        if settings.kind == "standalone":
            return list(settings.nodes)
        if settings.kind == "sentinel":
            own = {"username": settings.sentinel_username, "password": settings.sentinel_password}
            make: Any = Sentinel  # untyped in redis-py
            sentinel = make(list(settings.nodes), sentinel_kwargs={**self._options(), **own})
            try:
                host, port = await sentinel.discover_master(settings.service)
            finally:
                for each in sentinel.sentinels:
                    await each.aclose()
            return [(str(host), int(port))]
        return await self._shards()

    async def _shards(self) -> list[tuple[str, int]]:
        trouble: Exception | None = None
        for host, port in self._settings.nodes:
            try:
                async with redis.asyncio.Redis(host=host, port=port, **self._options()) as client:
                    untyped: Any = client
                    ranges = await untyped.execute_command("CLUSTER", "SLOTS")
            except (RedisError, OSError) as error:
                trouble = error
                continue
            return _primaries_of(ranges)
        raise CouldNotStart(f"no node of {self.redacted} answers: {trouble}")

    def _options(self) -> dict[str, Any]:
        settings = self._settings
        options: dict[str, Any] = {
            "username": settings.username,
            "password": settings.password,
            "socket_timeout": CLIENT_SECONDS,
            "socket_connect_timeout": CLIENT_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
        }
        if settings.tls:
            options |= {"ssl": True, "ssl_ca_certs": settings.tls_ca}
            options |= {"ssl_certfile": settings.tls_cert, "ssl_keyfile": settings.tls_key}
        return options


def _primaries_of(slots: Any) -> list[tuple[str, int]]:
    """The primaries in the answer to CLUSTER SLOTS, each once."""
    found = [(entry[2][0], entry[2][1]) for entry in slots]
    return sorted({(str(host), int(port)) for host, port in found})


def _settings(url: str) -> RedisSettings:
    """The URL read as the service reads it.

    Raises:
        ConfigurationError: it is malformed.
    """
    settings = Settings.from_environment({"REDIS_URL": url, "SIGNING_SECRET": "x" * 32}).redis
    if settings is None:
        raise UsageError("the URL of the given server is empty")
    return settings
