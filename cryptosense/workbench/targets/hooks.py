"""The owner's own commands, run as the owner wrote them."""

import asyncio
import os
import signal

from cryptosense.errors import WorkbenchError

HOOK_TIMEOUT_S = 120.0


class HookFailed(WorkbenchError):
    """The owner's command failed or did not end."""


async def run_hook(command: str, *, timeout: float = HOOK_TIMEOUT_S) -> None:
    """Runs the command in a shell, in a process group of its own that ends with it.

    Raises:
        HookFailed: it exited with something other than 0, or was still running at the timeout.
    """
    process = await asyncio.create_subprocess_shell(
        command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, said = await asyncio.wait_for(process.communicate(), timeout)
    except TimeoutError:
        raise HookFailed(f"the hook {command!r} did not end within {timeout:g} s") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        words = said.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise HookFailed(f"the hook {command!r} exited with {process.returncode}: {words[0]}")
