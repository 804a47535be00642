"""Whoever dies and however, nothing that the run started lives on."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.topology.process import ManagedProcess

PARENT = """
    import asyncio, os, psutil, signal, sys
    from pathlib import Path
    from cryptosense.workbench.topology.process import ManagedProcess
    from cryptosense.workbench.topology.reaper import REAPER

    folder = Path(sys.argv[1])
    # A child that ignores SIGTERM and has a child of its own.
    stubborn = ManagedProcess("stubborn", ["/bin/sh", "-c", "trap '' TERM; sleep 300 & wait; sleep 300"], folder=folder)
    frozen = ManagedProcess("frozen", ["sleep", "300"], folder=folder)
    for process in (stubborn, frozen):
        asyncio.run(process.start())
    frozen.freeze()
    print(stubborn.pid, frozen.pid, REAPER.pid, flush=True)
    {ending}
"""


def living(pids):
    """Those of the pids, and of their groups, that exist and are no zombies."""
    found = []
    for process in psutil.process_iter(["pid", "status"]):
        try:
            if process.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) in pids:
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


def eventually(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(
    "ending",
    ["signal.pause()", "os._exit(3)", "raise SystemExit('boom')", "pass", "os.kill(os.getpid(), signal.SIGSEGV)"],
    ids=["sigkill", "hard-exit", "error", "normal-end", "crash"],
)
def test_no_orphan_whatever_ends_the_parent(tmp_path, ending):
    script = textwrap.dedent(PARENT.format(ending=ending))
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        pids = {int(word) for word in parent.stdout.readline().split()}
        assert len(pids) == 3
        if "pause" in ending:
            eventually(lambda: len(living(pids)) >= 4)  # the shell, its sleep, the frozen one, the reaper
            parent.kill()
    eventually(lambda: not living(pids))


def test_a_killed_reaper_is_replaced_and_the_new_one_knows_the_old_groups(tmp_path):
    ending = """
    os.kill(REAPER.pid, signal.SIGKILL)
    psutil.Process(REAPER.pid).wait()
    third = ManagedProcess("third", ["sleep", "300"], folder=folder)
    asyncio.run(third.start())
    print(third.pid, REAPER.pid, flush=True)
    os._exit(0)
    """
    script = textwrap.dedent(PARENT.format(ending=ending))
    command = [sys.executable, "-c", script, str(tmp_path)]
    pids = {int(word) for word in subprocess.check_output(command, text=True, timeout=60).split()}
    assert len(pids) == 5
    eventually(lambda: not living(pids))


def log_of(process):
    return process.log.read_text()


async def test_a_process_that_ends_at_once_is_reported_with_its_last_words(tmp_path):
    process = ManagedProcess("brief", ["/bin/sh", "-c", "echo cannot go on; exit 7"], folder=tmp_path)

    async def never():
        return False

    process.answers = never
    with pytest.raises(CouldNotStart, match=r"ended with 7(?s:.*)cannot go on"):
        await process.start()


async def test_a_program_that_does_not_exist_could_not_start(tmp_path):
    process = ManagedProcess("absent", ["/no/such/program"], folder=tmp_path)

    async def never():
        return False

    process.answers = never
    with pytest.raises(CouldNotStart, match="ended with 127"):
        await process.start()


async def test_a_start_that_is_cancelled_leaves_no_process(tmp_path):
    process = ManagedProcess("slow", ["sleep", "300"], folder=tmp_path)

    async def never():
        return False

    process.answers = never
    starting = asyncio.create_task(process.start())
    await asyncio.sleep(0)
    assert process.alive()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not process.alive()
    assert process.exit_code == -signal.SIGKILL


async def test_what_ignores_sigterm_is_killed_past_the_timeout(tmp_path):
    process = ManagedProcess("stubborn", ["/bin/sh", "-c", "trap '' TERM; echo set; sleep 300"], folder=tmp_path)
    await process.start()
    eventually(lambda: "set" in process.output())
    assert await process.terminate(timeout=0.1) == -signal.SIGKILL


async def test_the_children_of_a_child_go_with_it(tmp_path):
    process = ManagedProcess("family", ["/bin/sh", "-c", "sleep 300 & echo set; exec sleep 300"], folder=tmp_path)
    await process.start()
    eventually(lambda: "set" in process.output())
    await process.terminate()
    eventually(lambda: not living({process.pid}))


async def test_restart_gives_a_new_incarnation_and_the_log_keeps_both(tmp_path):
    process = ManagedProcess("twice", ["/bin/sh", "-c", "echo here; exec sleep 300"], folder=tmp_path)
    async with process:
        await process.start()
        first = process.pid
        eventually(lambda: "here" in process.output())
        await process.restart()
        assert process.pid != first
        eventually(lambda: "here" in process.output())
        assert process.last_lines() == ["here"]
    assert log_of(process).split() == ["here", "here"]
