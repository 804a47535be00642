"""One task, several who wait for it."""

import asyncio

import pytest

from cryptosense.services.shared_task import SharedTask


async def test_all_who_wait_are_told_and_who_is_cancelled_leaves_the_task_and_the_others_alone():
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    work = asyncio.create_task(_waits(told))
    shared = SharedTask(work)
    waiters = [asyncio.create_task(_waits(shared.outcome())) for _ in range(3)]
    await asyncio.sleep(0)
    waiters[1].cancel()
    await asyncio.sleep(0)
    assert not work.done()
    told.set_result("told")
    assert await asyncio.gather(waiters[0], waiters[2]) == ["told", "told"]
    assert waiters[1].cancelled()


async def test_an_error_reaches_everybody():
    shared = SharedTask(asyncio.create_task(_fails()))
    ends = await asyncio.gather(shared.outcome(), shared.outcome(), return_exceptions=True)
    assert [type(end) for end in ends] == [LookupError, LookupError]


async def test_a_cancelled_task_cancels_who_waits():
    work = asyncio.create_task(asyncio.sleep(60))
    shared = SharedTask(work)
    outcome = shared.outcome()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outcome


async def test_who_asks_when_it_is_over_is_told_at_once():
    work = asyncio.create_task(asyncio.sleep(0, "over"))
    shared = SharedTask(work)
    await work
    assert shared.outcome().result() == "over"
    cancelled = asyncio.create_task(asyncio.sleep(60))
    late = SharedTask(cancelled)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    assert late.outcome().cancelled()


async def _waits(outcome: "asyncio.Future[str]") -> str:
    return await outcome


async def _fails() -> None:
    raise LookupError
