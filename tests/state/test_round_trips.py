"""Each state operation of the request path is one round trip, whatever its outcome."""

import pytest

from cryptosense.state.contracts import Algorithm, CacheKey, EntryKind, Lease, Quota, SessionRecord
from cryptosense.state.redis.wire import Wire

LONG_MS = 600_000
KEY = CacheKey("space", "name")
OTHER = CacheKey("space", "other")
RECORD = SessionRecord("user", "session", "digest", 1)

OPERATIONS = {
    "csrf.current": lambda s: s.csrf.current("session", "token", ttl_ms=LONG_MS),
    "csrf.current again": lambda s: s.csrf.current("session", "other", ttl_ms=LONG_MS),
    "csrf.rotate": lambda s: s.csrf.compare_and_rotate("session", "token", "next", ttl_ms=LONG_MS, grace_ms=5000),
    "csrf.grace": lambda s: s.csrf.compare_and_rotate("session", "token", "more", ttl_ms=LONG_MS, grace_ms=5000),
    "csrf.mismatch": lambda s: s.csrf.compare_and_rotate("session", "wrong", "more", ttl_ms=LONG_MS, grace_ms=5000),
    "csrf.peek": lambda s: s.csrf.peek("session"),
    "csrf.replace": lambda s: s.csrf.replace("session", "token", ttl_ms=LONG_MS),
    "csrf.revoke": lambda s: s.csrf.revoke("session"),
    **{
        f"windows.admit {algorithm.value} {turn}": lambda s, a=algorithm, t=turn: s.windows.admit(
            "client", Quota(1, LONG_MS, a), f"decision{t}"
        )
        for algorithm in Algorithm
        for turn in ("one", "two")
    },
    "windows.peek": lambda s: s.windows.peek("client", Quota(1, LONG_MS)),
    "windows.forget": lambda s: s.windows.forget("client"),
    "cache.read miss": lambda s: s.cache.read(KEY),
    "cache.lease": lambda s: s.cache.read_or_lease(KEY, fence="fence", lease_ms=LONG_MS, tags=["a", "b"]),
    "cache.store": lambda s: s.cache.store(
        Lease(KEY, "fence"), EntryKind.VALUE, b"body", fresh_ms=LONG_MS, stale_ms=LONG_MS, tags=["a", "b"]
    ),
    "cache.read hit": lambda s: s.cache.read(KEY),
    "cache.read known": lambda s: s.cache.read(KEY, known="fence"),
    "cache.read_or_lease hit": lambda s: s.cache.read_or_lease(KEY, fence="late", lease_ms=LONG_MS),
    "cache.release": lambda s: s.cache.release(Lease(KEY, "fence")),
    "cache.invalidate": lambda s: s.cache.invalidate(KEY, OTHER),
    "cache.invalidate_tags": lambda s: s.cache.invalidate_tags("space", ["a", "b"]),
    "sessions.open": lambda s: s.sessions.open(RECORD, ttl_ms=LONG_MS),
    "sessions.find": lambda s: s.sessions.find("user", "session"),
    "sessions.rotate": lambda s: s.sessions.rotate_refresh("user", "session", "digest", "next", ttl_ms=LONG_MS),
    "sessions.close": lambda s: s.sessions.close("user", "session"),
    "sessions.close_all": lambda s: s.sessions.close_all("user", keep="session"),
    "leaders.lead": lambda s: s.leaders.lead("task", "holder", ttl_ms=LONG_MS),
    "leaders.resign": lambda s: s.leaders.resign("task", "holder"),
}

ASKED_BY_THE_TEST = {"config|resetstat", "info", "hello", "client|setname", "client|setinfo", "auth", "select"}
INSIDE_SCRIPTS = {
    "time", "get", "set", "pexpire", "pttl", "getrange", "unlink", "del", "publish",
    "zadd", "zrem", "zrange", "zremrangebyscore",
}  # fmt: skip


@pytest.mark.parametrize("server", ["valkey", pytest.param("redis7", marks=pytest.mark.full)])
async def test_each_operation_is_one_command_on_the_wire(server, request, tools, own_server, monkeypatch):
    writes: list[bytes] = []
    write = Wire.send

    def watched(self, packed):
        writes.append(packed)
        write(self, packed)

    monkeypatch.setattr(Wire, "send", watched)
    program = request.getfixturevalue(server).program
    async with (
        own_server(program=program) as own,
        tools.opened(tools.address_of(own)) as opened,
    ):
        for name, operation in OPERATIONS.items():
            await own.command("CONFIG", "RESETSTAT")
            writes.clear()
            await operation(opened.state)
            assert len(writes) == 1, f"{name} is one write"
            assert len(writes[0].split(b"*")) <= 4, "of three commands at most"
            stats = await own.info("commandstats")
            calls = {
                key.removeprefix("cmdstat_"): int(value.split(",")[0].removeprefix("calls="))
                for key, value in stats.items()
                if key.startswith("cmdstat_")
            }
            calls = {command: count for command, count in calls.items() if command not in ASKED_BY_THE_TEST}
            if b"EVALSHA" in writes[0]:
                assert calls.pop("evalsha") == 1, name
                assert calls.keys() <= INSIDE_SCRIPTS, f"{name}: {calls}"
            else:
                assert calls in ({"get": 1}, {"set": 1}, {"unlink": 1}, {"pttl": 1, "get": 1}), f"{name}: {calls}"
