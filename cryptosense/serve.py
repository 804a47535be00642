"""`cryptosense serve`: the reference service with whatever of its surroundings the user has not named.

Each part that no variable names is brought along: an embedded server (`REDIS_URL`), a simulated CoinGecko
(`COINGECKO_URL`), a random signing secret, a SQLite file shared by the instances (`DATABASE_URL`). Whoever names a
server shares it with others, so a missing secret is then an error.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from cryptosense.errors import ConfigurationError, CouldNotStart
from cryptosense.settings import Settings
from cryptosense.workbench.deployment import UpstreamPlan
from cryptosense.workbench.topology.instances import ServiceInstance
from cryptosense.workbench.topology.ports import is_free
from cryptosense.workbench.topology.process import start_together
from cryptosense.workbench.topology.servers import standalone
from cryptosense.workbench.topology.upstream import SimulatedUpstream

STOPPED, FAILED, COULD_NOT_START = 0, 1, 2

_GOODBYE_S = 12.0  # the service promises to end within ten
_LOOK_EVERY_S = 0.1


def serve(*, host: str, port: int, instances: int) -> int:
    """Serves until SIGTERM or Ctrl-C; instance i on `port + i`.

    One line `ready URL` each goes to the output, what the instances log to stderr. Returns 0 when it was told to stop,
    1 when every instance ended by itself, 2 when something did not come up.
    """
    try:
        return asyncio.run(_Serving(host, port, instances).run())
    except (ConfigurationError, CouldNotStart) as error:
        _say(f"cannot serve: {error}")
        return COULD_NOT_START
    except KeyboardInterrupt:
        # Ctrl-C before or after the time in which the handlers below are set.
        return STOPPED


class _Serving:
    def __init__(self, host: str, port: int, instances: int) -> None:
        self._host = host
        self._ports = range(port, port + instances)
        self._told_to_stop = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop.set)
        self._refuse_taken_ports()
        serving = asyncio.ensure_future(self._serve(dict(os.environ)))
        stop = asyncio.ensure_future(self._told_to_stop.wait())
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if serving.done():
            return serving.result()
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        return STOPPED

    def _refuse_taken_ports(self) -> None:
        for port in self._ports:
            if port > 65_535:
                raise CouldNotStart(f"instance ports end at {self._ports[-1]}, and there is none above 65535")
            if not is_free(port, self._host):
                raise CouldNotStart(f"cannot listen on {self._host}:{port}; name another one with --port")

    async def _serve(self, environ: dict[str, str]) -> int:
        """Until cancelled, or until no instance is left."""
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cryptosense-serve-")))
            settings = await self._surroundings(stack, folder, environ)
            Settings.from_environment(settings)
            instances = [
                ServiceInstance(f"instance-{index}", folder=folder, settings=settings, host=self._host, port=port)
                for index, port in enumerate(self._ports)
            ]
            following = asyncio.ensure_future(_follow(instances))
            stack.push_async_callback(_finish, following)
            stack.push_async_callback(_end, instances)
            await start_together(instances)
            for instance in instances:
                print(f"ready {instance.url}", flush=True)
            await _watch(instances)
        return FAILED

    async def _surroundings(self, stack: AsyncExitStack, folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
        """Starts what is not named; the settings of every instance."""
        settings = dict(environ)
        brought: list[str] = []
        settings.setdefault("INSTANCES", str(len(self._ports)))
        rising: list[SimulatedUpstream] = []
        if not settings.get("COINGECKO_URL"):
            upstream = SimulatedUpstream(UpstreamPlan(), folder=folder)
            stack.push_async_callback(upstream.kill)
            rising.append(upstream)
            settings |= {"COINGECKO_URL": upstream.url, "COINGECKO_SPACING_MS": "0"}
            brought.append("a simulated CoinGecko")
        embedded = not settings.get("REDIS_URL") and settings.get("MIGRATION_STAGE") != "off"
        if not settings.get("REDIS_URL"):
            if not settings.get("SIGNING_SECRET"):
                settings["SIGNING_SECRET"] = secrets.token_hex(32)
                brought.append("a random signing secret")
            if not settings.get("DATABASE_URL"):
                settings["DATABASE_URL"] = f"sqlite+aiosqlite:///{folder / 'cryptosense.db'}"
                brought.append("a SQLite file that is gone afterwards")
        if embedded:
            server = standalone(folder)
            stack.push_async_callback(server.kill)
            settings["REDIS_URL"] = server.url
            brought.insert(0, f"an embedded server ({server.program.version.split(' sha')[0]})")
            await start_together([server, *rising])
        else:
            await start_together(rising)
        if brought:
            _say(f"for development only, since nothing else was named: {', '.join(brought)}")
        return settings


async def _watch(instances: Sequence[ServiceInstance]) -> None:
    """Says which instance ended by itself; returns when none is left."""
    living = list(instances)
    while living:
        for instance in [one for one in living if not one.alive()]:
            living.remove(instance)
            _say(f"{instance.name} at {instance.url} ended with {instance.exit_code}")
        await asyncio.sleep(_LOOK_EVERY_S)


async def _follow(instances: Sequence[ServiceInstance]) -> None:
    """Copies what the instances log to stderr, as it comes, and the rest when it is cancelled."""
    shown = dict.fromkeys(range(len(instances)), 0)
    try:
        while True:
            _copy_new(instances, shown)
            await asyncio.sleep(_LOOK_EVERY_S)
    finally:
        _copy_new(instances, shown)


def _copy_new(instances: Sequence[ServiceInstance], shown: dict[int, int]) -> None:
    for index, instance in enumerate(instances):
        with contextlib.suppress(FileNotFoundError), instance.log.open("rb") as log:
            log.seek(shown[index])
            text = log.read()
            whole = text[: text.rfind(b"\n") + 1]
            shown[index] += len(whole)
            lines = [line for line in whole.decode(errors="replace").splitlines() if not line.startswith("ready ")]
            for line in lines:
                print(f"[{index}] {line}", file=sys.stderr, flush=True)


async def _finish(following: "asyncio.Future[None]") -> None:
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def _end(instances: Sequence[ServiceInstance]) -> None:
    await asyncio.gather(*(instance.terminate(timeout=_GOODBYE_S) for instance in instances))


def _say(text: str) -> None:
    print(f"cryptosense: {text}", file=sys.stderr, flush=True)
