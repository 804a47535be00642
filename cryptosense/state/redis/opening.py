"""From an address to a channel: how a connection is opened for each kind of deployment."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from redis.asyncio.connection import Connection
from redis.exceptions import ConnectionError as NoConnection

from cryptosense.errors import ConfigurationError
from cryptosense.state.observer import StateObserver
from cryptosense.state.redis.address import CONNECT_SECONDS, RedisAddress, new_connection
from cryptosense.state.redis.channel import Channel
from cryptosense.state.redis.cluster import ClusterRoute
from cryptosense.state.redis.link import Link, greet, packed
from cryptosense.state.redis.routes import Route, SingleRoute
from cryptosense.state.redis.scripts import scripts
from cryptosense.state.redis.sentinels import Sentinels
from cryptosense.state.redis.wakeups import Wakeups
from cryptosense.state.redis.wire import Wire

Opening = Callable[[], Awaitable[Connection]]


def open_channel(
    address: RedisAddress, *, budget_ms: float, client_name: str, observer: StateObserver
) -> tuple[Channel, Wakeups]:
    """The channel of this process and its subscriptions; connections are opened in the background.

    Raises:
        ConfigurationError: a cluster with a database number, or Sentinel without a service.
    """
    if address.kind == "cluster" and address.db != 0:
        raise ConfigurationError("a cluster has no database but number 0")

    def at(host: str, port: int) -> Opening:
        return lambda: open_server(address, host, port, client_name=client_name)

    def link(host: str, port: int) -> Link:
        # Twice the budget: one call that has run out may be bad luck, a server silent for longer is gone.
        return Link(f"{host}:{port}", _wired(at(host, port)), stall_s=2 * budget_ms / 1000, observer=observer)

    route: Route
    if address.kind == "cluster":
        route = ClusterRoute(address.nodes, link, observer=observer)
        opening = _first_of([at(host, port) for host, port in address.nodes])
    elif address.kind == "sentinel":
        sentinels = Sentinels(address, client_name=client_name)
        opening = _primary_of(sentinels, address, client_name)
        name = f"primary of {address.service}"
        primary = Link(name, _wired(opening), stall_s=2 * budget_ms / 1000, observer=observer)
        route = SingleRoute(primary, sentinels=sentinels)
    else:
        opening = at(*address.nodes[0])
        route = SingleRoute(link(*address.nodes[0]))
    return Channel(route, budget_ms=budget_ms), Wakeups(opening)


def _primary_of(sentinels: Sentinels, address: RedisAddress, client_name: str) -> Opening:
    """Asks for each connection anew."""

    async def opening() -> Connection:
        host, port = await sentinels.primary()
        return await open_server(address, host, port, client_name=client_name, primary=True)

    return opening


def _wired(opening: Opening) -> Callable[[], Awaitable[Wire]]:
    async def wired() -> Wire:
        return Wire(await opening())

    return wired


def _first_of(openings: list[Opening]) -> Opening:
    """Tries one after the other: every server of a cluster passes on what is published on any."""

    async def opening() -> Connection:
        for attempt in openings[:-1]:
            with suppress(Exception):
                return await attempt()
        return await openings[-1]()

    return opening


async def open_server(
    address: RedisAddress, host: str, port: int, *, client_name: str | None, primary: bool = False
) -> Connection:
    """A connected, greeted connection: credentials, database and name given, scripts loaded, the server not loading.

    `primary`: refuse a server that is none.

    Raises:
        RedisError, OSError, TimeoutError: it could not be reached, or refused.
    """
    connection = new_connection(address, host, port, client_name=client_name)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.connect()  # type: ignore[no-untyped-call]
            loads = [packed("SCRIPT", "LOAD", script.body) for script in scripts().values()]
            await greet(connection, [packed("PING"), *loads])
            if primary and (await greet(connection, [packed("ROLE")]))[0][0] != b"master":
                raise NoConnection(f"{host}:{port} is no primary")
    except BaseException:
        with suppress(Exception):
            await connection.disconnect(nowait=True)
        raise
    return connection
