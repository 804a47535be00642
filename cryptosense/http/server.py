"""One instance in one process, under uvicorn: says when it serves, and leaves in good order.

On SIGTERM or SIGINT: readiness turns false while requests are still taken (so that whoever balances sees it), then
nothing new is accepted, requests under way finish, idle connections close, and the app's lifespan ends the rest.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from cryptosense.errors import ConfigurationError
from cryptosense.http.logs import configure_logging
from cryptosense.http.protocol import BoundedHttp
from cryptosense.settings import Settings

log = logging.getLogger("cryptosense.server")

LAST_RESORT_S = 9.5  # after a signal: by then every bounded step is over, and what still hangs is left behind
CONFIGURATION_EXIT = 2


class OneInstance(uvicorn.Server):
    """A uvicorn server that announces itself on stdout and ends with exit code 0 on a signal."""

    def __init__(self, config: uvicorn.Config, *, url: str, begin_drain: Callable[[], None], drain_s: float) -> None:
        super().__init__(config)
        self._url = url
        self._begin_drain = begin_drain
        self._drain_s = drain_s
        self._signalled = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's own, and then the one line that others wait for.

        What has been built by now stays: looking through it at every full garbage collection stopped the event loop for
        a tenth of a second.
        """
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        if self.started and not self.should_exit:
            print(f"ready {self._url}", flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles signals in the loop; uvicorn's own raises them again at the end, which makes the exit code −15."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self._leave)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _leave(self) -> None:
        if self._signalled or not self.started:
            self.should_exit = True  # a second signal, or one before anything was served: no reason to wait
            return
        self._signalled = True
        self._begin_drain()
        timer = threading.Timer(LAST_RESORT_S, _give_up)
        timer.daemon = True
        timer.start()
        asyncio.get_running_loop().call_later(self._drain_s, self._stop_accepting)

    def _stop_accepting(self) -> None:
        self.should_exit = True


def _give_up() -> None:
    print('{"level":"ERROR","logger":"cryptosense.server","message":"the shutdown hung and was cut"}', file=sys.stderr)
    os._exit(1)


def run(factory: Callable[[Settings], FastAPI], host: str, port: int) -> int:
    """Serves until a signal comes; the exit code. Port 0 takes a free one.

    What keeps it from starting is one line on stderr and exit code 2.
    """
    try:
        settings = Settings.from_environment(os.environ)
        listener = _listen(host, port)
    except ConfigurationError as error:
        return _refuse_to_start(error)
    configure_logging(settings.log_level, _secrets_of(settings))
    url = _url_of(host, listener)
    with contextlib.closing(listener), asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            return runner.run(_serve(factory, settings, listener, url))
        except ConfigurationError as error:
            return _refuse_to_start(error)


async def _serve(factory: Callable[[Settings], FastAPI], settings: Settings, listener: socket.socket, url: str) -> int:
    app = factory(settings)
    config = uvicorn.Config(
        app,
        lifespan="on",
        http=BoundedHttp,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # only TRUSTED_PROXIES counts
        server_header=False,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace_s)),
    )
    drain = app.state.parts.drain

    def begin_drain() -> None:
        drain.draining = True
        log.info("draining", extra={"event": "draining"})

    server = OneInstance(config, url=url, begin_drain=begin_drain, drain_s=settings.drain_s)
    await server.serve(sockets=[listener])
    return 0


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop that the service runs on: uvloop's where there is one, else asyncio's own (None)."""
    try:
        import uvloop  # noqa: PLC0415 (not on every platform)
    except ImportError:
        return None
    return uvloop.new_event_loop


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, so that the port is ours, and known, before anything is built.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error}") from error
    return listener


def _url_of(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _secrets_of(settings: Settings) -> list[str]:
    redis = settings.redis
    candidates = [
        settings.signing_secret,
        settings.coingecko_api_key,
        settings.database_password,
        redis.password if redis else None,
        redis.sentinel_password if redis else None,
    ]
    return [secret for secret in candidates if secret]


def _refuse_to_start(error: ConfigurationError) -> int:
    print(f"cryptosense: {error}", file=sys.stderr)
    return CONFIGURATION_EXIT
