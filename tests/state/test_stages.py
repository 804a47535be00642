"""The six stages of the migration."""

import asyncio
from dataclasses import replace

import pytest

from cryptosense.clock import ManualClock
from cryptosense.errors import OutcomeUnknown, StateUnavailable
from cryptosense.state.catalog import Stage, StageSwitch, open_joined, open_memory, open_redis
from cryptosense.state.contracts import (
    CacheKey,
    Entry,
    EntryKind,
    Quota,
    RefreshOutcome,
    RotationOutcome,
    SessionRecord,
)

LONG_MS = 600_000
QUOTA = Quota(3, LONG_MS)
STAGES = list(Stage)


@pytest.fixture
def sides(record):
    """Two memory backends play the two sides, so that each can be looked at; `right` stands for Redis."""

    class Sides:
        left = open_memory(ManualClock())
        right = open_memory(ManualClock())

        def joined(self, stage: Stage):
            self.switch = StageSwitch(stage)
            return open_joined(self.left, self.right, self.switch, record).state

    return Sides()


class Broken:
    """A side on which every call fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str):
        async def fail(*_args, **_named):
            raise self._error

        return fail


def broken(error: Exception):
    state = open_memory(ManualClock())
    away = Broken(error)
    whole = replace(state.state, csrf=away, windows=away, cache=away, sessions=away, leaders=away)
    return replace(state, state=whole)


async def use_everything(state, mark: str) -> None:
    """One of each operation; raises when any of them fails or tells nonsense."""
    token = await state.csrf.current(f"s{mark}", f"first{mark}", ttl_ms=LONG_MS)
    rotated = await state.csrf.compare_and_rotate(f"s{mark}", token, f"second{mark}", ttl_ms=LONG_MS, grace_ms=5000)
    assert rotated.outcome is RotationOutcome.ROTATED
    await state.csrf.compare_and_rotate(f"s{mark}", "wrong", "third", ttl_ms=LONG_MS, grace_ms=5000)
    await state.csrf.replace(f"s{mark}", "forced", ttl_ms=LONG_MS)
    await state.csrf.revoke(f"s{mark}")
    assert (await state.windows.admit(f"c{mark}", QUOTA, "decision1")).admitted
    assert (await state.windows.peek(f"c{mark}", QUOTA)).remaining == 1
    await state.windows.forget(f"c{mark}")
    key = CacheKey("space", f"n{mark}")
    _, lease = await state.cache.read_or_lease(key, fence=f"f{mark}", lease_ms=LONG_MS, tags=["tag"])
    assert lease is not None
    assert await state.cache.store(lease, EntryKind.VALUE, b"b", fresh_ms=LONG_MS, stale_ms=0, tags=["tag"])
    assert isinstance(await state.cache.read(key), Entry)
    await state.cache.release(lease)
    assert await state.cache.invalidate_tags("space", ["tag"]) == 1
    await state.cache.invalidate(key)
    await state.cache.invalidate_space("space", "nothing")
    session = SessionRecord("u", f"s{mark}", "digest", 1)
    await state.sessions.open(session, ttl_ms=LONG_MS)
    assert await state.sessions.find("u", f"s{mark}") == session
    outcome = await state.sessions.rotate_refresh("u", f"s{mark}", "digest", "next", ttl_ms=LONG_MS)
    assert outcome is RefreshOutcome.ROTATED
    assert await state.sessions.close("u", f"s{mark}")
    assert await state.sessions.close_all("u") == 0
    assert await state.leaders.lead(f"t{mark}", "holder", ttl_ms=LONG_MS)
    await state.leaders.resign(f"t{mark}", "holder")


def test_stage_1_the_stage_moves_one_step_at_a_time_in_either_direction():
    switch = StageSwitch()
    for stage in [*STAGES, *reversed(STAGES)]:
        switch.set(stage)
        assert switch.stage is stage
    for stage in STAGES[2:]:
        with pytest.raises(ValueError, match="one stage at a time"):
            switch.set(stage)


async def test_stage_1_no_call_fails_while_the_stages_are_walked_forward_and_back_under_traffic(tools, valkey, record):
    async with tools.opened(tools.address_of(valkey), prefix="walk:") as redis:
        switch = StageSwitch()
        joined = open_joined(open_memory(ManualClock()), redis, switch, record)
        walking, served = True, 0

        async def traffic(worker: int) -> None:
            nonlocal served
            while walking:
                session = f"s{worker}-{served}"
                token = await joined.state.csrf.current(session, f"first{served}", ttl_ms=LONG_MS)
                answer = await joined.state.csrf.compare_and_rotate(
                    session, token, f"next{served}", ttl_ms=LONG_MS, grace_ms=5000
                )
                assert answer.outcome in {RotationOutcome.ROTATED, RotationOutcome.ABSENT}
                await joined.state.windows.admit(f"c{worker}", Quota(10**6, LONG_MS), f"decision{served:06d}")
                key = CacheKey("walk", session)
                found, lease = await joined.state.cache.read_or_lease(key, fence=f"f{served}", lease_ms=LONG_MS)
                if lease is not None and found is None:
                    await joined.state.cache.store(lease, EntryKind.VALUE, b"x", fresh_ms=LONG_MS, stale_ms=0)
                served += 1
                await asyncio.sleep(0)

        workers = [asyncio.create_task(traffic(number)) for number in range(8)]
        for stage in [*STAGES, *reversed(STAGES)]:
            switch.set(stage)
            before = served
            while served < before + 40:  # noqa: ASYNC110 - lets the traffic run
                await asyncio.sleep(0.005)
        walking = False
        await asyncio.gather(*workers)
    assert ("csrf", "failed") not in record.differences


@pytest.mark.parametrize("stage", [Stage.OFF, Stage.DUALWRITE, Stage.SHADOW])
async def test_stage_1_the_stage_changes_and_memory_serves_without_redis(stage, tools, record):
    redis = open_redis(tools.Address((("127.0.0.1", 1),)), budget_ms=50)
    switch = StageSwitch()
    joined = open_joined(open_memory(ManualClock()), redis, switch, record)
    for step in STAGES[: STAGES.index(stage) + 1]:
        switch.set(step)
    await use_everything(joined.state, stage.value)
    assert await joined.ping()
    assert bool(record.differences) == (stage is not Stage.OFF), "and what Redis missed is counted"
    await joined.close()


@pytest.mark.parametrize("error", [StateUnavailable("away"), OutcomeUnknown("late")])
@pytest.mark.parametrize("stage", STAGES)
async def test_stage_2_a_failure_of_the_side_that_does_not_count_is_counted_and_never_raised(stage, error, record):
    good, bad = open_memory(ManualClock()), broken(error)
    memory, redis = (bad, good) if stage.redis_counts else (good, bad)
    joined = open_joined(memory, redis, StageSwitch(stage), record)
    await use_everything(joined.state, "x")
    failed = {service for service, kind in record.differences if kind == "failed"}
    told = {fields["service"] for name, fields in record.events if name == "other_side_failed"}
    everything = {"csrf", "rate_limit", "cache", "sessions", "leaders"}
    assert failed == told == (everything if stage.writes_both else set())


@pytest.mark.parametrize("stage", STAGES)
async def test_stage_2_a_failure_of_the_side_that_counts_is_raised(stage, record):
    good, bad = open_memory(ManualClock()), broken(StateUnavailable("away"))
    memory, redis = (good, bad) if stage.redis_counts else (bad, good)
    joined = open_joined(memory, redis, StageSwitch(stage), record)
    with pytest.raises(StateUnavailable):
        await joined.state.csrf.current("s", "token", ttl_ms=LONG_MS)
    assert await good.state.csrf.peek("s") is None, "the side that counts goes first, and the other is left alone"


@pytest.mark.parametrize("stage", STAGES)
async def test_stage_3_values_are_made_once_and_stand_on_the_sides_that_the_stage_writes(stage, sides):
    state = sides.joined(stage)
    await state.csrf.current("s", "first", ttl_ms=LONG_MS)
    await state.csrf.compare_and_rotate("s", "first", "second", ttl_ms=LONG_MS, grace_ms=0)
    await state.sessions.open(SessionRecord("u", "s", "d1", 7), ttl_ms=LONG_MS)
    await state.sessions.rotate_refresh("u", "s", "d1", "d2", ttl_ms=LONG_MS)
    _, lease = await state.cache.read_or_lease(CacheKey("a", "b"), fence="f1", lease_ms=LONG_MS)
    await state.cache.store(lease, EntryKind.VALUE, b"body", fresh_ms=LONG_MS, stale_ms=0)
    await state.windows.admit("c", QUOTA, "decision1")
    for side, written in (
        (sides.left.state, stage is not Stage.COMPLETE),
        (sides.right.state, stage is not Stage.OFF),
    ):
        assert await side.csrf.peek("s") == ("second" if written else None)
        assert await side.sessions.find("u", "s") == (SessionRecord("u", "s", "d2", 7) if written else None)
        entry = await side.cache.read(CacheKey("a", "b"))
        assert (entry.version if isinstance(entry, Entry) else None) == ("f1" if written else None)
        assert (await side.windows.peek("c", QUOTA)).remaining == (1 if written else 2)


async def test_stage_3_a_rotation_reaches_a_side_that_did_not_know_the_token(sides):
    state = sides.joined(Stage.DUALWRITE)
    await sides.left.state.csrf.current("s", "old", ttl_ms=LONG_MS)
    await state.csrf.compare_and_rotate("s", "old", "new", ttl_ms=LONG_MS, grace_ms=5000)
    assert await sides.right.state.csrf.peek("s") == "new"


async def test_stage_3_a_rotated_session_reaches_a_side_that_had_missed_a_rotation_and_does_not_end_it(sides):
    state = sides.joined(Stage.LIVE)
    await sides.right.state.sessions.open(SessionRecord("u", "s", "d2", 7), ttl_ms=LONG_MS)
    await sides.left.state.sessions.open(SessionRecord("u", "s", "d1", 7), ttl_ms=LONG_MS)
    outcome = await state.sessions.rotate_refresh("u", "s", "d2", "d3", ttl_ms=LONG_MS)
    assert outcome is RefreshOutcome.ROTATED
    assert await sides.left.state.sessions.find("u", "s") == SessionRecord("u", "s", "d3", 7)


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN])
async def test_reads_copy_nothing_from_one_side_to_the_other(stage, sides):
    state = sides.joined(stage)
    counts, other = (sides.right, sides.left) if stage.redis_counts else (sides.left, sides.right)
    await counts.state.csrf.current("s", "token", ttl_ms=LONG_MS)
    await counts.state.sessions.open(SessionRecord("u", "s", "d", 1), ttl_ms=LONG_MS)
    assert await state.csrf.current("s", "other", ttl_ms=LONG_MS) == "token"
    assert await state.csrf.peek("s") == "token"
    await state.csrf.compare_and_rotate("s", "wrong", "x", ttl_ms=LONG_MS, grace_ms=0)
    assert await state.sessions.find("u", "s") is not None
    await state.windows.peek("c", QUOTA)
    assert await other.state.csrf.peek("s") is None
    assert await other.state.sessions.find("u", "s") is None
    assert [name async for name in other.state.windows.live()] == []


KEY = CacheKey("a", "b")


async def cached(state, fence: str) -> None:
    _, lease = await state.cache.read_or_lease(KEY, fence=fence, lease_ms=LONG_MS)
    await state.cache.store(lease, EntryKind.VALUE, b"x", fresh_ms=LONG_MS, stale_ms=0)


async def tokens(side, token: str) -> None:
    await side.csrf.current("s", token, ttl_ms=LONG_MS)


async def session(side, digest: str) -> None:
    await side.sessions.open(SessionRecord("u", "s", digest, 1), ttl_ms=LONG_MS)


async def a_token_that_one_side_lacks(state, counts, _other):
    await tokens(counts, "token")
    await state.csrf.peek("s")


async def another_token(state, counts, other):
    await tokens(counts, "token")
    await tokens(other, "else")
    await state.csrf.current("s", "candidate", ttl_ms=LONG_MS)


async def a_token_that_one_side_would_accept(state, counts, other):
    await tokens(counts, "token")
    await tokens(other, "else")
    await state.csrf.compare_and_rotate("s", "else", "next", ttl_ms=LONG_MS, grace_ms=0)


async def a_rotation_that_one_side_would_refuse(state, counts, other):
    await tokens(counts, "token")
    await tokens(other, "else")
    await state.csrf.compare_and_rotate("s", "token", "next", ttl_ms=LONG_MS, grace_ms=0)


async def a_full_window_on_one_side(state, counts, _other):
    for number in range(3):
        await counts.windows.admit("c", QUOTA, f"decision{number}")
    await state.windows.admit("c", QUOTA, "decision9")


async def a_cached_entry_that_one_side_lacks(state, counts, _other):
    await cached(counts, "f1")
    await state.cache.read(KEY)


async def another_version_of_an_entry(state, counts, other):
    await cached(counts, "f1")
    await cached(other, "f2")
    await state.cache.read_or_lease(KEY, fence="f3", lease_ms=LONG_MS)


async def a_lease_that_somebody_else_holds(state, _counts, other):
    await other.cache.read_or_lease(KEY, fence="theirs", lease_ms=LONG_MS)
    await cached(state, "ours")


async def a_session_that_one_side_lacks(state, counts, _other):
    await session(counts, "d")
    await state.sessions.find("u", "s")


async def another_session_record(state, counts, other):
    await session(counts, "d")
    await session(other, "e")
    await state.sessions.find("u", "s")


async def a_refresh_token_that_one_side_would_refuse(state, counts, other):
    await session(counts, "d")
    await session(other, "e")
    await state.sessions.rotate_refresh("u", "s", "d", "f", ttl_ms=LONG_MS)


DIFFERENCES = {
    a_token_that_one_side_lacks: ("csrf", "missing"),
    another_token: ("csrf", "value"),
    a_token_that_one_side_would_accept: ("csrf", "decision"),
    a_rotation_that_one_side_would_refuse: ("csrf", "decision"),
    a_full_window_on_one_side: ("rate_limit", "decision"),
    a_cached_entry_that_one_side_lacks: ("cache", "missing"),
    another_version_of_an_entry: ("cache", "value"),
    a_lease_that_somebody_else_holds: ("cache", "lease"),
    a_session_that_one_side_lacks: ("sessions", "missing"),
    another_session_record: ("sessions", "value"),
    a_refresh_token_that_one_side_would_refuse: ("sessions", "decision"),
}


@pytest.mark.parametrize("stage", [Stage.SHADOW, Stage.LIVE])
@pytest.mark.parametrize("provoke", DIFFERENCES)
async def test_stage_4_differences_are_counted_by_service_and_kind(provoke, stage, sides, record):
    state = sides.joined(stage)
    counts, other = (sides.right, sides.left) if stage.redis_counts else (sides.left, sides.right)
    await provoke(state, counts.state, other.state)
    assert record.differences == [DIFFERENCES[provoke]]


@pytest.mark.parametrize("stage", STAGES)
async def test_stage_4_sides_that_agree_differ_in_nothing(stage, sides, record):
    await use_everything(sides.joined(stage), "same")
    assert record.differences == []


async def test_stage_5_the_rollback_debt_is_what_lives_in_redis_only(tools, valkey, record):
    async with tools.opened(tools.address_of(valkey), prefix="debt:") as redis:
        memory = open_memory(ManualClock())
        switch = StageSwitch(Stage.LIVE)
        joined = open_joined(memory, redis, switch, record)
        assert await joined.debt() == {"csrf": 0, "rate_limit": 0, "sessions": 0}
        await joined.state.csrf.current("on both", "token", ttl_ms=LONG_MS)
        switch.set(Stage.RAMPDOWN)
        switch.set(Stage.COMPLETE)
        for number in range(3):
            await joined.state.csrf.current(f"{{*}} {number}", "token", ttl_ms=LONG_MS)
        await joined.state.windows.admit("x" * 2000, QUOTA, "decision1")
        await joined.state.sessions.open(SessionRecord("u", "s", "d", 1), ttl_ms=LONG_MS)
        assert await joined.debt() == {"csrf": 3, "rate_limit": 1, "sessions": 1}
        await redis.state.csrf.revoke("{*} 1")
        await memory.state.windows.admit("x" * 2000, QUOTA, "decision1")
        assert await joined.debt() == {"csrf": 2, "rate_limit": 0, "sessions": 1}


async def test_stage_5_debt_that_cannot_be_read_is_no_zero(tools, record):
    redis = open_redis(tools.Address((("127.0.0.1", 1),)), budget_ms=50)
    joined = open_joined(open_memory(ManualClock()), redis, StageSwitch(), record)
    with pytest.raises(StateUnavailable):
        await joined.debt()
    await joined.close()
