"""`cryptosense serve` as a process: what it brings, what it refuses, and that it ends whole.

A stand-in takes the place of the service here; the service itself under `serve` is the end-to-end suite's.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cryptosense.workbench.topology.ports import free_port

STANDIN = Path(__file__).parent / "workbench" / "topology" / "standin.py"
PROGRAM = f"""
import sys
from cryptosense.workbench.topology import instances

def command(service, *, host, port):
    return [sys.executable, {str(STANDIN)!r}, "--host", host, "--port", str(port)]

instances.service_command = command
from cryptosense.serve import serve
sys.exit(serve(host="127.0.0.1", port=int(sys.argv[1]), instances=int(sys.argv[2])))
"""
SETTINGS = {"REDIS_URL", "DATABASE_URL", "COINGECKO_URL", "SIGNING_SECRET", "MIGRATION_STAGE", "INSTANCES"}


@contextmanager
def serving(port, instances=2, **settings):
    environ = {name: value for name, value in os.environ.items() if name not in SETTINGS} | settings
    command = [sys.executable, "-c", PROGRAM, str(port), str(instances)]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def descendants_gone(before, seconds=20.0):
    until = time.monotonic() + seconds
    while [one for one in before if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < until
        time.sleep(0.02)


def ports(count):
    """A first port with `count - 1` free ones after it."""
    while True:
        first = free_port()
        try:
            for offset in range(1, count):
                with socket.create_server(("127.0.0.1", first + offset)):
                    pass
        except OSError:
            continue
        return first


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_every_instance_and_ends_with_zero_when_told_to(how):
    port = ports(2)
    with serving(port) as process:
        lines = [process.stdout.readline().strip() for _ in range(2)]
        assert lines == [f"ready http://127.0.0.1:{port}", f"ready http://127.0.0.1:{port + 1}"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port + 1}/ping") as answer:
            assert answer.status == 200
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 5  # two instances, server, upstream, reaper
        process.send_signal(how)
        rest, complaints = process.communicate(timeout=30)
    assert process.returncode == 0
    assert rest == ""
    assert "for development only" in complaints
    assert "Traceback" not in complaints
    descendants_gone(children)


def test_sigkill_leaves_no_orphan():
    with serving(ports(2)) as process:
        assert process.stdout.readline().startswith("ready ")
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait(timeout=10)
    descendants_gone(children)


def test_told_to_stop_while_starting_it_ends_with_zero_and_leaves_nothing():
    with serving(ports(2)) as process:
        while not (children := psutil.Process(process.pid).children(recursive=True)):
            time.sleep(0.01)
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0
    descendants_gone(children)


def test_a_named_server_without_a_secret_is_one_clear_line():
    with serving(ports(1), 1, REDIS_URL="redis://127.0.0.1:1") as process:
        _, complaints = process.communicate(timeout=30)
    assert process.returncode == 2
    assert [line for line in complaints.splitlines() if "SIGNING_SECRET" in line]
    assert "Traceback" not in complaints


def test_a_taken_port_is_named():
    port = ports(1)
    with socket.create_server(("127.0.0.1", port)), serving(port, 1) as process:
        _, complaints = process.communicate(timeout=30)
    assert process.returncode == 2
    assert f"127.0.0.1:{port}" in complaints


def test_an_instance_that_ends_by_itself_is_told_and_the_others_go_on():
    port = ports(2)
    with serving(port) as process:
        for _ in range(2):
            process.stdout.readline()
        first = next(
            one
            for one in psutil.Process(process.pid).children(recursive=True)
            if one.cmdline()[-2:] == ["--port", str(port)]
        )
        first.kill()
        while "instance-0" not in (line := process.stderr.readline()):
            assert line
        with urllib.request.urlopen(f"http://127.0.0.1:{port + 1}/livez") as answer:
            assert answer.status == 200
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0
