"""What holds for every `LeaderState`."""

import asyncio

from cryptosense.state.conformance.subject import LONG_MS, PAST_MS, SHORT_MS, Chapter, Subject, expect, fresh

_chapter = Chapter("leaders")
_check = _chapter.check


@_check()
async def one_of_many_leads_and_may_renew(subject: Subject) -> None:
    leaders, task = subject.state.leaders, fresh("task")
    asked = await asyncio.gather(*(leaders.lead(task, f"holder-{i}", ttl_ms=LONG_MS) for i in range(10)))
    expect(asked.count(True) == 1, "one leader")
    holder = f"holder-{asked.index(True)}"
    expect(await leaders.lead(task, holder, ttl_ms=LONG_MS), "it renews")
    expect(not await leaders.lead(task, "somebody", ttl_ms=LONG_MS), "nobody else takes it")


@_check()
async def a_lead_ends_with_its_time_or_by_resigning(subject: Subject) -> None:
    leaders, task = subject.state.leaders, fresh("task")
    await leaders.lead(task, "first", ttl_ms=SHORT_MS)
    await subject.pass_time(PAST_MS)
    expect(await leaders.lead(task, "second", ttl_ms=LONG_MS), "the dead leader is replaced")
    await leaders.resign(task, "first")
    expect(not await leaders.lead(task, "first", ttl_ms=LONG_MS), "nobody resigns for another")
    await leaders.resign(task, "second")
    expect(await leaders.lead(task, "first", ttl_ms=LONG_MS), "free after resigning")


@_check()
async def tasks_have_leaders_of_their_own(subject: Subject) -> None:
    leaders = subject.state.leaders
    expect(await leaders.lead(fresh("task"), "a", ttl_ms=LONG_MS), "one task")
    expect(await leaders.lead(fresh("task"), "b", ttl_ms=LONG_MS), "another task")


CHECKS = tuple(_chapter.checks)
