"""A child process of the run: in a group of its own, known to the reaper, with a log, and restartable."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptosense.errors import CouldNotStart
from cryptosense.workbench.topology.reaper import REAPER, kill_group

_POLL = 0.005


class ManagedProcess:
    """Implements `deployment.Process`. Subclasses say in `answers` when the program is up.

    Not bound to an event loop: it may be started under one and ended under another.
    """

    start_timeout = 30.0

    def __init__(
        self, name: str, command: Sequence[str], *, folder: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._name = name
        self._command = tuple(command)
        self._folder = folder
        self._env = dict(os.environ if env is None else env)
        self._child: subprocess.Popen[bytes] | None = None
        self._group_gone = False
        self._log_starts_at = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def pid(self) -> int:
        """The process id of the current or last incarnation; 0 before the first."""
        return 0 if self._child is None else self._child.pid

    @property
    def log(self) -> Path:
        return self._folder / f"{self._name}.log"

    @property
    def exit_code(self) -> int | None:
        """As `subprocess` tells it (-9 for SIGKILL), None while it lives or before it was started."""
        if self._child is None:
            return None
        code = self._child.poll()
        if code is not None and not self._group_gone:
            # At once, while the number of the group cannot have been given to a stranger yet.
            kill_group(self._child.pid)
            REAPER.release(self._child.pid)
            self._group_gone = True
        return code

    def alive(self) -> bool:
        """Whether the process exists; a frozen one does."""
        return self._child is not None and self.exit_code is None

    async def start(self) -> None:
        """Starts the program and returns when it answers.

        Raises:
            CouldNotStart: it ended, or did not answer in `start_timeout`; with the last lines of its log. It is gone.
        """
        self.launch()
        try:
            await self.wait_until_up()
        except BaseException:
            await self.kill()
            raise

    def launch(self) -> None:
        """Starts the program and returns at once."""
        if self.alive():
            raise CouldNotStart(f"{self._name} runs already")
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._log_starts_at = output.tell()
            self._child = REAPER.spawn(self._command, env=self._env, cwd=self._folder, output=output)
        self._group_gone = False

    async def wait_until_up(self) -> None:
        """Returns when the program answers.

        Raises:
            CouldNotStart: it ended or took longer than `start_timeout`.
        """
        try:
            async with asyncio.timeout(self.start_timeout):
                while not await self.answers():
                    if not self.alive():
                        raise CouldNotStart(f"{self._name} ended with {self.exit_code}{self._last_words()}")
                    await asyncio.sleep(_POLL)
        except TimeoutError as error:
            message = f"{self._name} did not answer within {self.start_timeout:g} s{self._last_words()}"
            raise CouldNotStart(message) from error

    async def answers(self) -> bool:
        """Whether the program does its work by now. Must return soon and raise nothing."""
        return self.alive()

    async def terminate(self, *, timeout: float = 15.0) -> int:
        """SIGTERM and wait; the exit code. Past the timeout it is killed. A frozen process is thawed first."""
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        try:
            async with asyncio.timeout(timeout):
                await self._wait()
        except TimeoutError:
            pass
        finally:
            await self.kill()
        return self._exit_code_of_ended()

    async def kill(self) -> None:
        """SIGKILL to the whole group, and wait. Fine on one that has ended."""
        if self._child is None or not self.alive():
            return
        kill_group(self._child.pid)
        # SIGKILL needs no cooperation, and a cancelled run must not leave a zombie: hence a plain, blocking wait.
        self._child.wait()
        self.alive()

    def freeze(self) -> None:
        """SIGSTOP: it keeps its connections and its port and does nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def restart(self) -> None:
        """Ends it if it lives and starts it again on the same port; returns when it answers."""
        if self.alive():
            await self.terminate()
        else:
            await self.kill()
        await self.start()

    def output(self) -> str:
        """What the current incarnation has written to its log so far."""
        try:
            with self.log.open("rb") as file:
                file.seek(self._log_starts_at)
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def last_lines(self, count: int = 12) -> list[str]:
        """The end of the current incarnation's log."""
        return self.output().splitlines()[-count:]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.kill()

    async def _wait(self) -> None:
        while self.alive():  # noqa: ASYNC110 (a child's end raises no event that an asyncio loop could wait for portably)
            await asyncio.sleep(_POLL)

    def _signal(self, number: signal.Signals) -> None:
        # Should the child die just now, its number still stays its own: only this object reaps it.
        if self.alive():
            os.killpg(self.pid, number)

    def _exit_code_of_ended(self) -> int:
        code = self.exit_code
        return 0 if code is None else code

    def _last_words(self) -> str:
        """The first line alone tells why: reports and terminals show no more of a reason."""
        lines = self.last_lines()
        if not lines:
            return f"; its log {self.log} is empty"
        return f": {lines[-1].strip()}; log {self.log}:\n" + "\n".join(lines)


async def start_together(processes: Sequence[ManagedProcess]) -> None:
    """Starts all of them at once and returns when all answer; when one does not come up, none is left.

    Raises:
        CouldNotStart: the first that did not.
    """
    starting = [asyncio.ensure_future(process.start()) for process in processes]
    try:
        await asyncio.gather(*starting)
    except BaseException:
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        await kill_together(processes)
        raise


async def kill_together(processes: Sequence[ManagedProcess]) -> None:
    """SIGKILL to each, whatever state it is in."""
    for process in processes:
        await process.kill()
