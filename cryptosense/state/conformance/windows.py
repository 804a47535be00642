"""What holds for every `WindowState`."""

import asyncio

from cryptosense.state.conformance.subject import LONG_MS, PAST_MS, SHORT_MS, Chapter, Subject, expect, fresh, token
from cryptosense.state.contracts import Algorithm, Quota, WindowState

_chapter = Chapter("windows")
_check = _chapter.check

_HOUR_MS = 3_600_000


async def _admit_all(windows: WindowState, client: str, quota: Quota, count: int) -> int:
    answers = await asyncio.gather(*(windows.admit(client, quota, token()) for _ in range(count)))
    return sum(answer.admitted for answer in answers)


@_check()
async def the_limit_is_admitted_one_after_the_other_and_no_more(subject: Subject) -> None:
    for algorithm in Algorithm:
        windows, client, quota = subject.state.windows, fresh("client"), Quota(5, _HOUR_MS, algorithm)
        left = [(await windows.admit(client, quota, token())).remaining for _ in range(5)]
        expect(left == [4, 3, 2, 1, 0], f"{algorithm}: remaining counts down, not {left}")
        denied = await windows.admit(client, quota, token())
        expect(not denied.admitted and denied.remaining == 0, f"{algorithm}: the sixth is denied")
        expect(0 < denied.reset_ms <= 2 * _HOUR_MS, f"{algorithm}: it is told when to come again")


@_check()
async def any_number_of_concurrent_callers_gets_exactly_the_limit(subject: Subject) -> None:
    for algorithm in Algorithm:
        admitted = await _admit_all(subject.state.windows, fresh("client"), Quota(20, _HOUR_MS, algorithm), 100)
        expect(admitted == 20, f"{algorithm}: 20 of 100 at once, not {admitted}")


@_check()
async def a_denied_request_leaves_no_trace(subject: Subject) -> None:
    windows, client, quota = subject.state.windows, fresh("client"), Quota(3, _HOUR_MS)
    await _admit_all(windows, client, quota, 3)
    before = await windows.peek(client, quota)
    for _ in range(20):
        await windows.admit(client, quota, token())
    after = await windows.admit(client, quota, token())
    expect(after.reset_ms <= before.reset_ms, "denials do not put the next slot off")


@_check()
async def a_repeated_decision_counts_once(subject: Subject) -> None:
    windows, client, quota, decision = subject.state.windows, fresh("client"), Quota(2, _HOUR_MS), token()
    first = await windows.admit(client, quota, decision)
    again = await asyncio.gather(*(windows.admit(client, quota, decision) for _ in range(10)))
    expect(first.admitted and not first.replayed, "new at first")
    expect(all(answer.admitted and answer.replayed for answer in again), "replayed afterwards")
    expect(all(answer.remaining == 1 for answer in again), "counted once")
    await windows.admit(client, quota, token())
    full = await windows.admit(client, quota, decision)
    expect(full.admitted and full.replayed, "a replay is good in a full window too")


@_check()
async def decisions_that_share_a_beginning_are_not_the_same(subject: Subject) -> None:
    windows, client, quota = subject.state.windows, fresh("client"), Quota(5, _HOUR_MS)
    for decision in ("aaaaaaaa", "aaaaaaaaa", "aaaaaaaaaaaaaaaa", "aaaaaaab"):
        answer = await windows.admit(client, quota, decision)
        expect(answer.admitted and not answer.replayed, f"{decision} is new")


@_check()
async def looking_leaves_no_trace(subject: Subject) -> None:
    for algorithm in Algorithm:
        windows, client, quota = subject.state.windows, fresh("client"), Quota(2, _HOUR_MS, algorithm)
        for _ in range(3):
            seen = await windows.peek(client, quota)
            expect(seen.admitted and seen.remaining == 1, f"{algorithm}: peek tells what admit would")
        told = {name async for name in windows.live()}
        expect(client not in told, f"{algorithm}: peek makes no counter")
        expect(await _admit_all(windows, client, quota, 5) == 2, f"{algorithm}: the quota is untouched")
        expect(not (await windows.peek(client, quota)).admitted, f"{algorithm}: peek sees a full window")


@_check()
async def the_quota_comes_back_after_the_window(subject: Subject) -> None:
    for algorithm in Algorithm:
        windows, client, quota = subject.state.windows, fresh("client"), Quota(2, SHORT_MS, algorithm)
        for _ in range(2):
            await windows.admit(client, quota, token())
        await subject.pass_time(PAST_MS)
        answer = await windows.admit(client, quota, token())
        expect(answer.admitted and answer.remaining == 1, f"{algorithm}: the whole quota is free again")


@_check(exact=True)
async def a_slot_frees_exactly_one_window_after_its_admission(subject: Subject) -> None:
    windows, client, quota = subject.state.windows, fresh("client"), Quota(2, 10_000)
    await windows.admit(client, quota, token())
    await subject.pass_time(3000)
    await windows.admit(client, quota, token())
    denied = await windows.admit(client, quota, token())
    expect(denied.reset_ms == 7000, f"the first slot frees in 7000 ms, not {denied.reset_ms}")
    await subject.pass_time(6999)
    denied = await windows.admit(client, quota, token())
    expect(not denied.admitted and denied.reset_ms == 1, "not one millisecond early")
    await subject.pass_time(1)
    expect((await windows.admit(client, quota, token())).admitted, "and not late")
    expect((await windows.peek(client, quota)).reset_ms == 3000, "then the second")


@_check(exact=True)
async def whoever_waits_as_told_is_admitted(subject: Subject) -> None:
    for algorithm in Algorithm:
        windows, client, quota = subject.state.windows, fresh("client"), Quota(7, 10_000, algorithm)
        for step in range(60):
            answer = await windows.admit(client, quota, token())
            if answer.admitted:
                await subject.pass_time(137 * (step % 5))
                continue
            await subject.pass_time(answer.reset_ms)
            expect((await windows.admit(client, quota, token())).admitted, f"{algorithm}: admitted after waiting")


@_check(exact=True)
async def a_steady_overload_gets_the_full_limit_in_every_window(subject: Subject) -> None:
    windows, client, quota = subject.state.windows, fresh("client"), Quota(10, 13_000)
    admitted = []
    for _ in range(52):  # four windows at 130 % of the limit
        admitted.append((await windows.admit(client, quota, token())).admitted)
        await subject.pass_time(1000)
    for start in range(52 - 13):
        within = sum(admitted[start : start + 13])
        expect(within == 10, f"10 in each window, not {within}")


@_check(exact=True)
async def admissions_at_one_instant_are_counted_each(subject: Subject) -> None:
    windows, client, quota = subject.state.windows, fresh("client"), Quota(4, 10_000)
    expect(await _admit_all(windows, client, quota, 9) == 4, "equal timestamps are not one admission")
    await subject.pass_time(10_000)
    expect(await _admit_all(windows, client, quota, 9) == 4, "and all leave together")


@_check(exact=True)
async def a_smaller_limit_holds_at_once_for_a_client_with_more(subject: Subject) -> None:
    windows, client = subject.state.windows, fresh("client")
    for _ in range(4):
        await windows.admit(client, Quota(4, 10_000), token())
        await subject.pass_time(1000)
    denied = await windows.admit(client, Quota(2, 10_000), token())
    expect(not denied.admitted, "four are more than two")
    expect(denied.reset_ms == 8000, f"room for one when three have left, in 8000 ms, not {denied.reset_ms}")


@_check()
async def clients_and_algorithms_do_not_share_a_quota(subject: Subject) -> None:
    windows, client = subject.state.windows, fresh("client")
    for algorithm in Algorithm:
        quota = Quota(1, LONG_MS, algorithm)
        expect((await windows.admit(client, quota, token())).admitted, f"{algorithm} counts by itself")
        expect((await windows.admit(fresh("client"), quota, token())).admitted, "another client has its own")


@_check()
async def a_forgotten_client_starts_anew(subject: Subject) -> None:
    windows, client = subject.state.windows, fresh("client")
    for algorithm in Algorithm:
        await windows.admit(client, Quota(1, LONG_MS, algorithm), token())
    expect(client in {name async for name in windows.live()}, "it is live")
    await windows.forget(client)
    expect(client not in {name async for name in windows.live()}, "and then it is not")
    for algorithm in Algorithm:
        expect((await windows.admit(client, Quota(1, LONG_MS, algorithm), token())).admitted, f"{algorithm}: anew")


CHECKS = tuple(_chapter.checks)
