"""The owner's commands: what they leave running stays, what fails is said, and what was done is undone."""

import asyncio
import re
import time

import psutil
import pytest

from cryptosense.workbench.targets.hooks import HookFailed, NotHealed, run_hook, until_healed


@pytest.fixture
def mark(tmp_path):
    """A command that leaves a mark, and whether it was run."""
    file = tmp_path / "mark"
    return f"touch {file}", file.exists


async def test_a_command_that_exits_with_an_error_is_told_with_its_last_words():
    with pytest.raises(HookFailed, match=re.escape("exited with 3: no such container")):
        await run_hook("echo trying >&2; echo no such container >&2; exit 3")


async def test_a_service_that_a_command_starts_in_the_background_is_not_waited_for_and_lives_on(tmp_path):
    pid = tmp_path / "pid"
    began = time.monotonic()
    await run_hook(f"sleep 30 & echo $! > {pid}", timeout=10)
    assert time.monotonic() - began < 10
    service = psutil.Process(int(pid.read_text()))
    assert service.is_running()
    service.kill()


async def test_a_command_that_does_not_end_is_killed_with_all_that_it_started(tmp_path):
    pid = tmp_path / "pid"
    with pytest.raises(HookFailed, match=re.escape("did not end within 4 s")):
        await run_hook(f"sleep 30 & echo $! > {pid}; wait", timeout=4)
    until = time.monotonic() + 5
    while _lives(int(pid.read_text())):
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


async def test_what_was_done_is_undone_at_the_end_of_the_block_and_not_before(mark):
    cure, cured = mark
    async with until_healed("true", cure):
        assert not cured()
    assert cured()


@pytest.mark.parametrize("command", ["exit 1", "sleep 30"])
async def test_a_fault_that_fails_or_hangs_is_told_and_undone_all_the_same(mark, command):
    cure, cured = mark
    with pytest.raises(HookFailed, match="the command that undoes it was run") as told:
        async with until_healed(command, cure, timeout=4):
            pytest.fail("the block must not run")
    assert not isinstance(told.value, NotHealed)
    assert cured()


async def test_a_cancelled_run_undoes_what_it_did(mark):
    cure, cured = mark
    within = asyncio.Event()

    async def run():
        async with until_healed("true", cure):
            within.set()
            await asyncio.sleep(30)

    task = asyncio.create_task(run())
    await within.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cured()


async def test_a_cure_that_fails_is_told_with_what_failed_before_it():
    with pytest.raises(NotHealed, match="may still be as the fault left it") as told:
        async with until_healed("exit 7", "echo who is redis >&2; exit 8"):
            pass
    assert "'exit 7'" in str(told.value)
    assert "who is redis" in str(told.value)


def _lives(pid):
    """Whether the process goes on; one that nobody has asked about yet since it ended does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
