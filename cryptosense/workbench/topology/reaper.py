"""A tiny process that kills what a run started, as soon as the run is gone, however it went.

The run holds the write end of a pipe and the reaper reads it. A child announces its process group on that pipe before
it becomes the program it is to run, so there is no moment at which a killed parent would leave it unknown. When the
last holder of the write end dies, whether by SIGKILL, a crash or a normal exit, the reaper reads end of file, kills
every group that was announced and not withdrawn, and ends.

This file is also the reaper's program (`python -I -S reaper.py`), hence standard library only.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

# Announces the shell's own process group on the reaper's pipe (its stdin), then lets go of that pipe and of the one
# on which its parent waits for this (its stderr), and becomes the program.
_ANNOUNCE_THEN_BECOME = 'echo "+$$" >&0; exec "$@" </dev/null 2>&1'


class Reaper:
    """This process's link to its reaper, which is started with the first child and again if somebody killed it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._program: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._groups: set[int] = set()

    def spawn(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, output: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Starts `command` as the leader of a session and process group of its own, known to the reaper.

        Raises:
            OSError: there is no shell or no such folder; a missing program shows as exit code 127 of the child.
        """
        with self._lock:
            self._ensure_running()
            waiting, announced = os.pipe()
            try:
                child = subprocess.Popen(
                    ["/bin/sh", "-c", _ANNOUNCE_THEN_BECOME, "sh", *command],
                    env=dict(env),
                    cwd=cwd,
                    stdin=self._pipe,
                    stdout=output,
                    stderr=announced,
                    start_new_session=True,
                )
            finally:
                os.close(announced)
                # A millisecond until end of file. A child frozen before that would hold the reaper's pipe open.
                os.read(waiting, 1)
                os.close(waiting)
            self._groups.add(child.pid)
        return child

    def adopt(self, group: int) -> None:
        """Puts a process group that somebody else started (a kernel, say) under the reaper's care."""
        with self._lock:
            self._ensure_running()
            self._groups.add(group)
            self._tell(f"+{group}\n")

    def release(self, group: int) -> None:
        """Withdraws a group whose processes are gone, so that its number may be given to strangers."""
        with self._lock:
            self._groups.discard(group)
            if self._program is not None:
                # A dead reaper is replaced, with the groups that are left, by the next spawn.
                with contextlib.suppress(BrokenPipeError):
                    self._tell(f"-{group}\n")

    @property
    def pid(self) -> int | None:
        """The reaper's own process id, None before the first child."""
        return None if self._program is None else self._program.pid

    def forget(self) -> None:
        """Lets go of the pipe without a word: for a forked copy of this process, whose children are not the run's."""
        if self._program is not None:
            self._program.returncode = 0  # no child of this copy, so nothing to wait for or to warn about
            os.close(self._pipe)
        self._lock = threading.Lock()
        self._program = None
        self._pipe = -1
        self._groups = set()

    def _ensure_running(self) -> None:
        if self._program is not None and self._program.poll() is None:
            return
        if self._program is not None:
            os.close(self._pipe)
        reading, self._pipe = os.pipe()
        try:
            # A session of its own: Ctrl-C and a closing terminal must not take the reaper before the others.
            self._program = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(reading)
        for group in self._groups:
            self._tell(f"+{group}\n")

    def _tell(self, line: str) -> None:
        os.write(self._pipe, line.encode())


REAPER = Reaper()
os.register_at_fork(after_in_child=REAPER.forget)


def kill_group(group: int) -> None:
    """SIGKILL to every process of the group; a group that is gone already is fine."""
    # macOS answers EPERM where only zombies are left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def reap(stream: IO[bytes]) -> None:
    """Keeps the announced groups until end of file, then kills them."""
    groups: set[int] = set()
    for line in stream:
        sign, number = line[:1], int(line[1:])
        if sign == b"+":
            groups.add(number)
        else:
            groups.discard(number)
    for group in groups:
        kill_group(group)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    reap(sys.stdin.buffer)
