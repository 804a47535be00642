"""The owner's own commands, run as the owner wrote them."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator

from cryptosense.errors import WorkbenchError

HOOK_TIMEOUT_S = 120.0


class HookFailed(WorkbenchError):
    """The owner's command failed or did not end."""


class NotHealed(HookFailed):
    """What the owner's command did could not be undone: the deployment is not as it was found."""


@contextlib.asynccontextmanager
async def until_healed(command: str, cure: str, *, timeout: float = HOOK_TIMEOUT_S) -> AsyncIterator[None]:
    """What `command` does lasts as long as the block. `cure` is run whatever happens, also where `command` failed.

    Raises:
        HookFailed: the command failed or did not end, and the cure was run.
        NotHealed: the cure failed or did not end.
    """
    before = ""
    try:
        try:
            await run_hook(command, timeout=timeout)
        except HookFailed as error:
            before = f"{error}; "
            raise HookFailed(f"{error}; the command that undoes it was run") from None
        yield
    finally:
        try:
            await run_hook(cure, timeout=timeout)
        except HookFailed as error:
            raise NotHealed(f"{before}{error}: see to the deployment, it may still be as the fault left it") from None


async def run_hook(command: str, *, timeout: float = HOOK_TIMEOUT_S) -> None:
    """Runs the command in a shell and waits for that shell; what it leaves running in the background stays.

    Raises:
        HookFailed: it exited with something other than 0, or was still running at the timeout and was killed with
            everything that it had started.
    """
    # A file and no pipe: a service that the command starts keeps a pipe open, and waiting for its end takes forever.
    with tempfile.TemporaryFile() as said:
        process = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )
        try:
            await asyncio.wait_for(process.wait(), timeout)
        except TimeoutError:
            raise HookFailed(f"the hook {command!r} did not end within {timeout:g} s") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        said.seek(0)
        words = said.read().decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    if process.returncode:
        raise HookFailed(f"the hook {command!r} exited with {process.returncode}: {words[0]}")
