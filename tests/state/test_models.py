"""Random histories: memory and Redis do what a few lines of obvious code do.

Each example is one history. Redis runs the real scripts under a clock that the test moves (`frozen_redis`).
"""

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryptosense.state.contracts import (
    Admission,
    Algorithm,
    CacheKey,
    Entry,
    EntryKind,
    Lease,
    Quota,
    RefreshOutcome,
    Rotation,
    RotationOutcome,
    SessionRecord,
)
from cryptosense.state.redis import windows as windows_module

LONG_MS = 86_400_000
SETTINGS = settings(
    max_examples=60, print_blob=True, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.fixture(params=["memory", "redis"])
def play(request, tools, frozen_redis):
    """Plays a history on the backend, each under names of its own."""
    start = tools.memory_subject if request.param == "memory" else frozen_redis
    with asyncio.Runner() as runner:
        context = start()
        subject = runner.run(context.__aenter__())
        count = 0

        def run(history):
            nonlocal count
            count += 1
            runner.run(history(subject, f"{request.node.originalname}-{count}"))

        yield run
        runner.run(context.__aexit__(None, None, None))


@dataclass
class LogModel:
    """Admissions in (now - window, now], as the contract says it."""

    quota: Quota
    admitted: list[tuple[int, str]] = field(default_factory=list)

    def admit(self, now: int, decision: str) -> Admission:
        self.admitted = [(at, one) for at, one in self.admitted if at > now - self.quota.window_ms]
        replayed = decision in [one for _, one in self.admitted]
        room = len(self.admitted) < self.quota.limit
        if room and not replayed:
            self.admitted.append((now, decision))
        reset = self.admitted[0][0] + self.quota.window_ms - now
        return Admission(room or replayed, self.quota.limit - len(self.admitted), reset, replayed)


steps = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12)), min_size=1, max_size=60)


@SETTINGS
@given(limit=st.integers(1, 6), window=st.integers(1, 1500), steps=steps)
def test_the_log_admits_what_a_list_of_times_admits(play, limit, window, steps):
    async def history(subject, name):
        quota = Quota(limit, window + 100_000)  # longer than the history is real, so nothing expires by Redis's clock
        model, now = LogModel(quota), 0
        for delay, number in steps:
            pause = delay * quota.window_ms // 1000
            await subject.pass_time(pause)
            now += pause
            decision = f"decision{number:04d}"
            assert await subject.state.windows.admit(name, quota, decision) == model.admit(now, decision)

    play(history)


@SETTINGS
@given(limit=st.integers(1, 6), algorithm=st.sampled_from([Algorithm.COUNTER, Algorithm.GCRA]), steps=steps)
def test_the_approximations_keep_their_bounds(play, limit, algorithm, steps):
    """Never more than twice the limit in a window, never a denial to who waited as told, and no credit for waiting."""

    async def history(subject, name):
        quota = Quota(limit, 100_000, algorithm)
        admitted: list[int] = []
        now, told = 0, None
        for delay, number in steps:
            pause = delay * quota.window_ms // 1000
            await subject.pass_time(pause)
            now += pause
            answer = await subject.state.windows.admit(name, quota, f"decision{number:04d}")
            if told is not None and now >= told:
                assert answer.admitted
            told = None if answer.admitted else now + answer.reset_ms
            if answer.admitted:
                admitted.append(now)
            assert 0 <= answer.remaining < limit
            assert answer.reset_ms > 0
            assert sum(at > now - quota.window_ms for at in admitted) <= 2 * limit

    play(history)


@SETTINGS
@given(limit=st.integers(3, 8), window=st.integers(1, 1500), steps=steps)
def test_a_long_log_admits_the_same(play, limit, window, steps, monkeypatch):
    """With `LONG_LOG` set to 2 the script for large limits serves small ones, and looks for replays among two."""
    monkeypatch.setattr(windows_module, "LONG_LOG", 2)

    async def history(subject, name):
        quota = Quota(limit, window + 100_000)
        model, now = LogModel(quota), 0
        for number, (delay, back) in enumerate(steps):
            pause = delay * quota.window_ms // 1000
            await subject.pass_time(pause)
            now += pause
            newest = [decision for _, decision in model.admitted[-2:]]
            decision = newest[0] if back == 0 and newest else f"decision{number:04d}"
            assert await subject.state.windows.admit(name, quota, decision) == model.admit(now, decision)

    play(history)


@dataclass
class CsrfModel:
    current: str | None = None
    replaced: list[tuple[str, int]] = field(default_factory=list)

    def rotate(self, now: int, presented: str, successor: str, grace: int) -> Rotation:
        if self.current is None:
            return Rotation(RotationOutcome.ABSENT, None)
        if presented == self.current:
            kept = [(token, at) for token, at in self.replaced if now - at < grace]
            self.replaced = [(presented, now), *kept][:32] if grace else []
            self.current = successor
            return Rotation(RotationOutcome.ROTATED, successor)
        if any(token == presented and now - at < grace for token, at in self.replaced):
            return Rotation(RotationOutcome.GRACE, self.current)
        return Rotation(RotationOutcome.MISMATCH, None)


csrf_steps = st.lists(
    st.tuples(
        st.sampled_from(["rotate"] * 6 + ["current", "replace", "revoke"]),
        st.integers(0, 3000),
        st.integers(-4, -1),
        st.sampled_from([0, 1, 2500, 2500, 2500]),
    ),
    max_size=60,
)


@SETTINGS
@given(steps=csrf_steps)
def test_tokens_rotate_as_a_list_of_tokens_does(play, steps):
    async def history(subject, name):
        csrf, model, now, drawn = subject.state.csrf, CsrfModel(), 0, ["nothing"]
        for number, (what, delay, back, grace) in enumerate(steps):
            await subject.pass_time(delay)
            now += delay
            fresh = f"token-{number}"
            if what == "rotate":
                presented = drawn[max(back, -len(drawn))]
                answer = await csrf.compare_and_rotate(name, presented, fresh, ttl_ms=LONG_MS, grace_ms=grace)
                assert answer == model.rotate(now, presented, fresh, grace)
            elif what == "current":
                model.current = model.current or fresh
                assert await csrf.current(name, fresh, ttl_ms=LONG_MS) == model.current
            elif what == "replace":
                await csrf.replace(name, fresh, ttl_ms=LONG_MS)
                model.current, model.replaced = fresh, []
            else:
                await csrf.revoke(name)
                model.current, model.replaced = None, []
            if model.current == fresh:
                drawn.append(fresh)
            assert await csrf.peek(name) == model.current

    play(history)


cache_steps = st.lists(
    st.tuples(
        st.sampled_from(["lease", "lease", "store", "store", "store", "release", "drop", "drop tag", "drop pattern"]),
        st.integers(0, 3),
        st.sets(st.sampled_from(["x", "y", "z"])),
    ),
    max_size=40,
)


@dataclass
class CacheModel:
    """Entries and leases by key, and under which tags each key stands."""

    entries: dict[CacheKey, str] = field(default_factory=dict)
    leases: dict[CacheKey, str] = field(default_factory=dict)
    tags: dict[str, set[CacheKey]] = field(default_factory=dict)

    def tag(self, key: CacheKey, tags: set[str]) -> None:
        for tag in tags:
            self.tags.setdefault(tag, set()).add(key)

    def drop(self, keys: set[CacheKey]) -> int:
        for key in keys:
            self.leases.pop(key, None)
        return sum(self.entries.pop(key, None) is not None for key in keys)


async def cache_step(cache, model: CacheModel, key: CacheKey, fence: str, step: tuple) -> None:
    what, _, tags = step
    if what == "lease":
        found, lease = await cache.read_or_lease(key, fence=fence, lease_ms=LONG_MS, tags=sorted(tags))
        granted = key not in model.entries and key not in model.leases
        assert (lease is not None) == granted
        assert (found.version if found else None) == model.entries.get(key)
        if granted:
            model.leases[key] = fence
            model.tag(key, tags)
    elif what == "store":
        held = Lease(key, model.leases.get(key, "nobody"))
        version = await cache.store(
            held, EntryKind.VALUE, fence.encode(), fresh_ms=LONG_MS, stale_ms=0, tags=sorted(tags)
        )
        assert version == model.leases.get(key)
        if version is not None:
            model.entries[key] = model.leases.pop(key)
            model.tag(key, tags)
    elif what == "release":
        await cache.release(Lease(key, model.leases.pop(key, "nobody")))
    elif what == "drop":
        assert await cache.invalidate(key) == model.drop({key})
    elif what == "drop tag":
        under = set().union(*(model.tags.pop(tag, set()) for tag in tags))
        assert await cache.invalidate_tags(key.space, sorted(tags)) == model.drop(under)
    else:
        matching = {one for one in model.entries if one.name.startswith(key.name[0])}
        assert await cache.invalidate_space(key.space, f"{key.name[0]}*") == model.drop(matching)
        model.leases.clear()


@SETTINGS
@given(steps=cache_steps)
def test_the_cache_keeps_what_three_dictionaries_keep(play, steps):
    async def history(subject, name):
        model = CacheModel()
        keys = [CacheKey(name, key) for key in ("a*", "a*b", "b{", "c")]
        for number, step in enumerate(steps):
            key = keys[step[1]]
            await cache_step(subject.state.cache, model, key, f"f{number}", step)
            for one in keys:
                found = await subject.state.cache.read(one)
                assert (found.version if isinstance(found, Entry) else None) == model.entries.get(one)

    play(history)


session_steps = st.lists(
    st.tuples(
        st.sampled_from(["open", "open", "rotate", "rotate", "stolen", "close", "close all", "close others"]),
        st.integers(0, 1),
        st.integers(0, 2),
    ),
    max_size=40,
)


async def session_step(sessions, held: dict, key: tuple[str, str], number: int, what: str) -> None:
    (user, session), fresh = key, f"digest-{number}"
    if what == "open":
        held[key] = fresh
        await sessions.open(SessionRecord(user, session, fresh, number), ttl_ms=LONG_MS)
    elif what in {"rotate", "stolen"}:
        presented = held.get(key, "none") if what == "rotate" else "stolen"
        outcome = await sessions.rotate_refresh(user, session, presented, fresh, ttl_ms=LONG_MS)
        if key not in held:
            assert outcome is RefreshOutcome.ABSENT
        elif what == "rotate":
            assert outcome is RefreshOutcome.ROTATED
            held[key] = fresh
        else:
            assert outcome is RefreshOutcome.REUSED
            del held[key]
    elif what == "close":
        assert await sessions.close(user, session) == (held.pop(key, None) is not None)
    else:
        keep = session if what == "close others" else None
        ended = [one for one in held if one[0] == user and one[1] != keep]
        for one in ended:
            del held[one]
        assert await sessions.close_all(user, keep=keep) == len(ended)


@SETTINGS
@given(steps=session_steps)
def test_sessions_live_as_in_one_dictionary(play, steps):
    async def history(subject, name):
        held: dict[tuple[str, str], str] = {}
        users, ids = [f"{name} {u}" for u in range(2)], [f"s{s}" for s in range(3)]
        for number, (what, user, session) in enumerate(steps):
            await session_step(subject.state.sessions, held, (users[user], ids[session]), number, what)
            for one in users:
                for other in ids:
                    found = await subject.state.sessions.find(one, other)
                    assert (found.refresh_digest if found else None) == held.get((one, other))

    play(history)
