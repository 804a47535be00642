"""Collects what a Redis says of itself, with commands that read and never write.

Used: PING, INFO, CONFIG GET, ACL WHOAMI, ACL GETUSER, SCAN, PTTL, MEMORY USAGE, CLUSTER INFO, CLUSTER NODES, and on
sentinels SENTINEL GET-MASTER-ADDR-BY-NAME, SENTINEL SENTINELS and SENTINEL CKQUORUM.
"""

import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cryptosense.errors import CouldNotStart
from cryptosense.settings import RedisSettings

T = TypeVar("T")
Client = Any  # redis-py annotates one method for sync and async replies at once, which fits neither

CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 5.0
SAMPLED_KEYS = 5_000
PINGS = 200
CONFIG_NAMES = (
    "appendfsync",
    "appendonly",
    "maxclients",
    "maxmemory",
    "maxmemory-policy",
    "min-replicas-to-write",
    "save",
    "tcp-keepalive",
    "timeout",
)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One primary: its INFO, and the CONFIG values of `CONFIG_NAMES` (empty where CONFIG is not allowed)."""

    name: str
    info: Mapping[str, Any]
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """Who we are there; `flags` and `commands` are None where ACL GETUSER is not allowed."""

    name: str | None
    flags: tuple[str, ...] | None = None
    commands: str | None = None
    keys: str | None = None


@dataclass(frozen=True, slots=True)
class KeySample:
    """Up to `SAMPLED_KEYS` keys of the database; sizes in bytes as MEMORY USAGE tells them."""

    scanned: int
    without_expiry: int
    example_without_expiry: str | None
    largest_bytes: int | None
    largest_key: str | None


@dataclass(frozen=True, slots=True)
class SentinelFacts:
    """`down_after_ms`: how long a sentinel waits for an answer before it calls the primary down; None if not told."""

    known: int
    quorum: str | None
    down_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    state: str
    slots_ok: int
    primaries: int
    primaries_without_replica: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was seen. `denied` names each command that the account may not use, with the server's words."""

    kind: str
    nodes: tuple[NodeFacts, ...]
    loopback: bool
    tls: bool
    account: AccountFacts
    keys: KeySample | None
    pings_ms: tuple[float, ...]
    password_given: bool = False
    sentinels: SentinelFacts | None = None
    cluster: ClusterFacts | None = None
    denied: Mapping[str, str] = field(default_factory=dict)


class _Looker:
    """Asks, and notes what it was not allowed to ask."""

    def __init__(self, address: RedisSettings) -> None:
        self._address = address
        self.denied: dict[str, str] = {}

    def connect(self, node: tuple[str, int], *, sentinel: bool = False) -> Client:
        address = self._address
        tls: dict[str, Any] = {}
        if address.tls:
            tls = {"ssl": True, "ssl_ca_certs": address.tls_ca}
            tls |= {"ssl_certfile": address.tls_cert, "ssl_keyfile": address.tls_key}
        return redis.Redis(
            host=node[0],
            port=node[1],
            db=0 if sentinel else address.db,
            username=address.sentinel_username if sentinel else address.username,
            password=address.sentinel_password if sentinel else address.password,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=ANSWER_TIMEOUT_S,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
            **tls,
        )

    def ask(self, command: str, question: Callable[[], T]) -> T | None:
        """The answer, or None where the account may not ask; every other error is the caller's."""
        try:
            return question()
        except redis.exceptions.NoPermissionError as error:
            self.denied[command] = str(error)
        except redis.exceptions.ResponseError as error:
            if "unknown command" not in str(error).lower() and "unknown subcommand" not in str(error).lower():
                raise
            self.denied[command] = str(error)
        return None

    def node(self, client: Client, name: str) -> NodeFacts:
        info = self.ask("INFO", lambda: client.info("everything")) or {}
        config = self.ask("CONFIG GET", lambda: client.config_get(*CONFIG_NAMES)) or {}
        return NodeFacts(name=name, info=info, config=config)

    def account(self, client: Client) -> AccountFacts:
        name = self.ask("ACL WHOAMI", client.acl_whoami)
        if name is None:
            return AccountFacts(name=None)
        user = self.ask("ACL GETUSER", lambda: client.acl_getuser(str(name)))
        if user is None:
            return AccountFacts(name=str(name))
        return AccountFacts(
            name=str(name),
            flags=tuple(str(flag) for flag in user.get("flags", ())),
            commands=_as_text(user.get("commands")) + " " + _as_text(user.get("categories")),
            keys=_as_text(user.get("keys")),
        )

    def keys(self, client: Client) -> KeySample | None:
        names: list[str] = []
        cursor = 0
        while len(names) < SAMPLED_KEYS:
            page = self.ask("SCAN", partial(client.scan, cursor=cursor, count=500))
            if page is None:
                return None
            cursor = int(page[0])
            names += [str(name) for name in page[1]]
            if cursor == 0:
                break
        lifetimes = self._each(client, "PTTL", names, lambda pipeline, name: pipeline.pttl(name))
        sizes = self._each(client, "MEMORY USAGE", names, lambda pipeline, name: pipeline.memory_usage(name))
        endless = [name for name, lifetime in zip(names, lifetimes, strict=False) if lifetime == -1]
        largest = max(zip(sizes, names, strict=False), default=(None, None), key=lambda pair: pair[0] or 0)
        return KeySample(
            scanned=len(names),
            without_expiry=len(endless),
            example_without_expiry=endless[0] if endless else None,
            largest_bytes=largest[0],
            largest_key=largest[1],
        )

    def _each(self, client: Client, command: str, names: list[str], add: Callable[[Any, str], Any]) -> list[int | None]:
        """One pipelined answer per key, in order; empty where the command is not allowed."""
        answers: list[int | None] = []
        for start in range(0, len(names), 500):
            pipeline = client.pipeline(transaction=False)
            for name in names[start : start + 500]:
                add(pipeline, name)
            batch = self.ask(command, pipeline.execute)
            if batch is None:
                return []
            answers += batch
        return answers

    def pings(self, client: Client) -> tuple[float, ...]:
        return self.ask("PING", lambda: self._pings(client)) or ()

    def _pings(self, client: Client) -> tuple[float, ...]:
        client.ping()  # the first one pays for the connection
        took = []
        for _ in range(PINGS):
            started = time.perf_counter()
            client.ping()
            took.append((time.perf_counter() - started) * 1000)
        return tuple(took)


def look(address: RedisSettings) -> Facts:
    """Everything that the account may see of the servers at `address`.

    Raises:
        CouldNotStart: no server answered, or it refused the account.
    """
    looker = _Looker(address)
    try:
        sentinels, cluster, primaries = _primaries(looker, address)
        clients = [looker.connect(node) for node in primaries]
        try:
            return Facts(
                kind=address.kind,
                nodes=tuple(
                    looker.node(client, f"{host}:{port}")
                    for client, (host, port) in zip(clients, primaries, strict=True)
                ),
                loopback=all(_is_loopback(host) for host, _ in primaries),
                tls=address.tls,
                account=looker.account(clients[0]),
                keys=looker.keys(clients[0]),
                pings_ms=looker.pings(clients[0]),
                password_given=address.password is not None,
                sentinels=sentinels,
                cluster=cluster,
                denied=looker.denied,
            )
        finally:
            for client in clients:
                client.close()
    except redis.exceptions.AuthenticationError as error:
        raise CouldNotStart(
            f"the server refused the account: {error}; check REDIS_USERNAME and REDIS_PASSWORD"
        ) from None
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
        raise CouldNotStart(f"no answer from the server: {error}; check the address, the port and TLS") from None


def _primaries(
    looker: _Looker, address: RedisSettings
) -> tuple[SentinelFacts | None, ClusterFacts | None, list[tuple[str, int]]]:
    if address.kind == "sentinel":
        facts, primary = _ask_sentinels(looker, address)
        return facts, None, [primary]
    if address.kind == "cluster":
        cluster, primaries = _ask_cluster(looker, address)
        return None, cluster, primaries
    return None, None, [address.nodes[0]]


def _ask_sentinels(looker: _Looker, address: RedisSettings) -> tuple[SentinelFacts, tuple[str, int]]:
    failures = []
    for node in address.nodes:
        client = looker.connect(node, sentinel=True)
        try:
            found = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.service)
            if not found:
                raise CouldNotStart(f"sentinel {node[0]}:{node[1]} does not know a service named {address.service!r}")
            others = client.execute_command("SENTINEL", "SENTINELS", address.service)
            quorum = _quorum(client, address.service or "")
            facts = SentinelFacts(1 + len(others), quorum, _down_after_ms(client, address.service or ""))
            return facts, (str(found[0]), int(found[1]))
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
            failures.append(str(error))
        finally:
            client.close()
    raise CouldNotStart("no sentinel answered: " + "; ".join(failures))


def _quorum(client: Client, service: str) -> str:
    try:
        return str(client.execute_command("SENTINEL", "CKQUORUM", service))
    except redis.exceptions.ResponseError as error:
        return str(error)


def _down_after_ms(client: Client, service: str) -> int | None:
    try:
        return int(client.execute_command("SENTINEL", "MASTER", service)["down-after-milliseconds"])
    except (redis.exceptions.ResponseError, KeyError):
        return None


def _ask_cluster(looker: _Looker, address: RedisSettings) -> tuple[ClusterFacts, list[tuple[str, int]]]:
    """The cluster as the first of its nodes that answers tells it, and those of its primaries that answer."""
    known = _answering(looker, address.nodes)
    if not known:
        raise CouldNotStart("no node of the cluster answered; check the addresses, the ports and TLS")
    client = looker.connect(known[0])
    try:
        state: Mapping[str, Any] = client.execute_command("CLUSTER INFO")
        nodes: Mapping[str, Mapping[str, Any]] = client.execute_command("CLUSTER NODES")
    finally:
        client.close()
    primaries = {name: node for name, node in nodes.items() if "master" in node["flags"] and node["slots"]}
    followed = {node["master_id"] for node in nodes.values() if "slave" in node["flags"] and node["connected"]}
    alone = tuple(name for name, node in primaries.items() if node["node_id"] not in followed)
    facts = ClusterFacts(
        state=str(state["cluster_state"]),
        slots_ok=int(state["cluster_slots_ok"]),
        primaries=len(primaries),
        primaries_without_replica=alone,
    )
    places = [name.rpartition(":") for name in primaries]
    return facts, _answering(looker, [(host, int(port)) for host, _, port in places])


def _answering(looker: _Looker, nodes: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The nodes that take a connection: a cluster that lost a shard is to be looked at all the same."""
    found = []
    for node in nodes:
        client = looker.connect(node)
        try:
            client.connection_pool.get_connection()
        except redis.exceptions.AuthenticationError:
            raise
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            continue
        finally:
            client.close()
        found.append(node)
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _as_text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple | set) else str(value or "")
