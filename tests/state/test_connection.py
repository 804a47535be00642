"""The connection to one server: deadlines, outages, reconnection, and that nothing is sent twice."""

import asyncio
import time

import pytest

from cryptosense.errors import OutcomeUnknown, StateCorrupt, StateError, StateUnavailable
from cryptosense.state.catalog import open_redis
from cryptosense.state.contracts import Algorithm, CacheKey, Quota
from cryptosense.state.deadline import deadline
from cryptosense.state.redis import link

QUOTA = Quota(1000, 600_000)


def decision(number: int) -> str:
    return f"decision{number:06d}"


async def until(condition, *, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is waited for is a server, which sets no event
            await asyncio.sleep(0.02)


async def test_conn_1_all_state_calls_of_a_request_to_a_frozen_server_end_within_one_deadline(tools, own_server):
    seconds = 2.0
    async with own_server() as server, tools.opened(tools.address_of(server), budget_ms=seconds * 1000) as opened:
        state = opened.state
        server.freeze()
        started = time.monotonic()
        with deadline(seconds * 1000) as budget:
            with pytest.raises(StateError):
                await state.windows.admit("client", QUOTA, decision(1))
            for _ in range(3):
                before = time.monotonic()
                with pytest.raises(StateUnavailable):
                    await state.csrf.peek("session")
                assert time.monotonic() - before < seconds / 2, "what is left is nothing, so nothing is waited for"
            assert budget.left() <= 0.002
        assert time.monotonic() - started < 2 * seconds, "with a deadline each it would be four"
        server.thaw()


async def test_conn_1_calls_side_by_side_share_the_deadline_too(tools, own_server):
    seconds = 2.0
    async with own_server() as server, tools.opened(tools.address_of(server), budget_ms=seconds * 1250) as opened:
        server.freeze()
        started = time.monotonic()
        with deadline(seconds * 1000):
            calls = (opened.state.windows.admit("client", QUOTA, decision(i)) for i in range(50))
            answers = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(answer, StateError) for answer in answers)
        assert time.monotonic() - started < 2 * seconds
        server.thaw()


async def test_what_was_sent_and_not_answered_is_unknown_and_happened_once(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server), budget_ms=200) as opened:
        server.freeze()
        with pytest.raises(OutcomeUnknown):
            await opened.state.windows.admit("client", QUOTA, decision(1))
        server.thaw()
        await until(opened.ping)
        seen = await opened.state.windows.peek("client", QUOTA)
        assert seen.remaining == QUOTA.limit - 2, "the server did it once, and nobody sent it again"
        again = await opened.state.windows.admit("client", QUOTA, decision(1))
        assert again.replayed, "the caller may, with the same decision"


async def test_conn_2_after_an_outage_the_state_serves_again_within_two_seconds_and_events_come_once(
    tools, own_server, record
):
    async with (
        own_server() as server,
        tools.opened(tools.address_of(server), budget_ms=2_000, observer=record) as opened,
    ):
        await server.kill()
        failures = 0
        for number in range(200):
            try:
                await opened.state.windows.admit("client", QUOTA, decision(number))
            except StateError:
                failures += 1
            await asyncio.sleep(0.005)
        assert failures == 200
        assert record.names() == ["connect", "ready", "close", "reconnecting", "error"], "once each, not per request"
        await server.restart()
        answering = time.monotonic()
        await until(opened.ping)
        assert time.monotonic() - answering < 2.0
        assert record.names() == ["connect", "ready", "close", "reconnecting", "error", "connect", "ready"]


async def test_conn_2_a_frozen_server_that_thaws_is_used_again_within_two_seconds(tools, own_server, record):
    async with (
        own_server() as server,
        tools.opened(tools.address_of(server), budget_ms=500, observer=record) as opened,
    ):
        server.freeze()
        for number in range(60):
            with pytest.raises(StateError):
                await opened.state.windows.admit("client", QUOTA, decision(number))
            await asyncio.sleep(0.02)
        assert record.names().count("close") == 1
        server.thaw()
        thawed = time.monotonic()
        await until(opened.ping)
        assert time.monotonic() - thawed < 2.0


async def test_conn_2_the_backoff_grows_with_jitter_and_is_capped_at_a_second(monkeypatch, tools):
    slept: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr(link.asyncio, "sleep", sleep)
    state = open_redis(tools.Address((("127.0.0.1", 1),)))
    assert not await state.wait_ready(1.0)
    await state.close()
    assert len(slept) > 10
    assert slept[0] <= 0.1 < max(slept)
    assert all(seconds <= 1.0 for seconds in slept)
    assert len(set(slept)) == len(slept), "drawn, not computed"


async def test_while_redis_is_down_calls_fail_at_once_and_none_is_applied_later(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server), budget_ms=5_000) as opened:
        await server.kill()
        await until(lambda: _fails_fast(opened))
        started = time.monotonic()
        for number in range(20):
            with pytest.raises(StateUnavailable):
                await opened.state.windows.admit("client", QUOTA, decision(number))
        assert time.monotonic() - started < 5.0, "less than one budget for all twenty"
        await server.restart()
        await until(opened.ping)
        assert (await opened.state.windows.peek("client", QUOTA)).remaining == QUOTA.limit - 1


async def _fails_fast(opened) -> bool:
    try:
        await opened.state.csrf.peek("session")
    except StateUnavailable as error:
        return "out of reach" in str(error)
    except OutcomeUnknown:
        return False
    return False


async def test_opening_neither_fails_nor_waits_while_redis_is_down(tools, record):
    started = time.monotonic()
    opened = open_redis(tools.Address((("127.0.0.1", 1),)), budget_ms=5_000, observer=record)
    assert time.monotonic() - started < 1.0, "a fifth of the budget"
    assert record.names() == [], "no attempt has been waited for"
    assert not await opened.wait_ready(0.1)
    assert not await opened.ping()
    with pytest.raises(StateUnavailable):
        await opened.state.leaders.lead("task", "holder", ttl_ms=1000)
    assert record.names() == ["error"]
    await opened.close()


async def test_cancelled_calls_do_not_shift_the_replies_of_others(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server), budget_ms=5_000) as opened:
        csrf = opened.state.csrf
        await asyncio.gather(*(csrf.current(f"s{i}", f"token-{i}", ttl_ms=60_000) for i in range(50)))
        for _ in range(5):
            server.freeze()
            tasks = [asyncio.create_task(csrf.peek(f"s{i}")) for i in range(50)]
            await asyncio.sleep(0.02)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.sleep(0)
            server.thaw()
            answers = await asyncio.gather(*tasks[1::2])
            assert answers == [f"token-{i}" for i in range(1, 50, 2)]
            assert await csrf.peek("s7") == "token-7"


async def test_a_thousand_calls_at_once_need_one_connection_and_none_fails(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        answers = await asyncio.gather(
            *(opened.state.windows.admit(f"c{i % 7}", QUOTA, decision(i)) for i in range(1000))
        )
        assert all(answer.admitted for answer in answers)
        clients = await server.command("CLIENT", "LIST")
        assert clients.count("name=cryptosense ") == 1


async def test_rate_9_missing_scripts_are_loaded_and_the_call_repeated_once_unseen(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        await server.command("SCRIPT", "FLUSH")
        await server.command("CONFIG", "RESETSTAT")
        quota = Quota(10, 600_000)
        answers = await asyncio.gather(*(opened.state.windows.admit("client", quota, decision(i)) for i in range(30)))
        assert sum(answer.admitted for answer in answers) == 10
        calls = await _calls(server)
        assert calls["evalsha"] <= 60, "each call at most twice"
        await opened.state.windows.admit("client", quota, decision(99))
        assert (await _calls(server))["evalsha"] == calls["evalsha"] + 1, "and once when the script is there"


async def test_rate_9_a_decision_that_is_sent_again_counts_once(tools, valkey):
    async with tools.opened(tools.address_of(valkey)) as opened:
        for _ in range(5):
            await opened.state.windows.admit("rate-9", Quota(3, 600_000), decision(1))
        assert (await opened.state.windows.peek("rate-9", Quota(3, 600_000))).remaining == 1


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_rate_8_a_wrong_key_is_corrupt_by_name_and_harms_no_other(algorithm, tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        key = f"cs:rate:{algorithm.value}:{{victim}}"
        quota = Quota(5, 600_000, algorithm)
        await server.command("LPUSH", key, "x")
        with pytest.raises(StateCorrupt) as error:
            await opened.state.windows.admit("victim", quota, decision(1))
        assert error.value.key == key
        await server.command("SET", f"cs:rate:{algorithm.value}:{{other}}", "oops!")
        with pytest.raises(StateCorrupt):
            await opened.state.windows.admit("other", quota, decision(1))
        assert (await opened.state.windows.admit("third", quota, decision(1))).admitted


@pytest.mark.parametrize("written", ["oops", "=", "=\x05ab", "=\x02abc"])
async def test_rate_8_a_foreign_value_under_a_csrf_or_session_key_is_corrupt(written, tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        csrf, sessions = opened.state.csrf, opened.state.sessions
        await server.command("SET", "cs:csrf:{s}", written)
        for call in (
            csrf.peek("s"),
            csrf.current("s", "t", ttl_ms=1000),
            csrf.compare_and_rotate("s", "a", "b", ttl_ms=1000, grace_ms=0),
        ):
            with pytest.raises(StateCorrupt):
                await call
        await server.command("SET", "cs:session:{u}:s:x", written)
        with pytest.raises(StateCorrupt):
            await sessions.find("u", "x")
        with pytest.raises(StateCorrupt):
            await sessions.rotate_refresh("u", "x", "a", "b", ttl_ms=1000)


async def test_a_server_out_of_memory_is_unavailable_and_recovers(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        await server.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StateUnavailable, match="refused"):
            await opened.state.windows.admit("client", QUOTA, decision(1))
        with pytest.raises(StateUnavailable, match="refused"):
            await opened.state.csrf.replace("session", "token", ttl_ms=1000)
        await server.command("CONFIG", "SET", "maxmemory", "0")
        assert (await opened.state.windows.admit("client", QUOTA, decision(2))).remaining == QUOTA.limit - 1


async def test_a_demoted_primary_is_unavailable_and_used_again_when_it_is_promoted(tools, own_server, record):
    async with own_server() as server, tools.opened(tools.address_of(server), observer=record) as opened:
        await server.command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StateUnavailable):
            await opened.state.csrf.replace("session", "token", ttl_ms=60_000)
        await server.command("REPLICAOF", "NO", "ONE")
        await until(opened.ping)
        await opened.state.csrf.replace("session", "token", ttl_ms=60_000)
        assert record.names().count("close") == 1


async def test_a_replica_without_its_primary_is_unavailable(tools, own_server):
    async with own_server() as server, tools.opened(tools.address_of(server)) as opened:
        await server.command("CONFIG", "SET", "replica-serve-stale-data", "no")
        await server.command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StateUnavailable):
            await opened.state.sessions.find("user", "session")


async def test_a_connection_cut_by_the_server_is_replaced_unseen_by_the_next_call(tools, own_server, record):
    async with own_server() as server, tools.opened(tools.address_of(server), observer=record) as opened:
        await asyncio.sleep(link.LASTING_S)  # a connection that ends sooner counts as a failed attempt
        await server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await until(lambda: _event(record, "close"))
        assert (await opened.state.windows.admit("client", QUOTA, decision(1))).admitted
        assert "error" not in record.names()


async def test_password_database_and_client_name_are_honoured(tools, own_server):
    async with own_server(password="open sesame") as server:
        address = tools.address_of(server, password="open sesame", db=3)
        async with tools.opened(address, client_name="instance-2") as opened:
            await opened.state.csrf.replace("session", "token", ttl_ms=60_000)
            clients = await server.command("CLIENT", "LIST")
            (mine,) = [line for line in clients.splitlines() if " name=instance-2 " in line]
            assert " db=3 " in mine
            async with server.client(db=3) as client:
                assert await client.exists("cs:csrf:{session}") == 1
        wrong = open_redis(tools.address_of(server, password="guess"))
        assert not await wrong.wait_ready(0.3)
        with pytest.raises(StateUnavailable):
            await wrong.state.csrf.peek("session")
        await wrong.close()


async def test_a_user_of_the_access_list_is_honoured_and_needs_no_more_than_its_prefix(tools, own_server):
    async with own_server() as server:
        rules = ("~cs:*", "&cs:*", "+@all", "-@dangerous")
        await server.command("ACL", "SETUSER", "service", "on", ">secret", *rules)
        address = tools.address_of(server, username="service", password="secret")
        async with tools.opened(address) as opened:
            key = CacheKey("space", "name")
            _, lease = await opened.state.cache.read_or_lease(key, fence="f", lease_ms=1000, tags=["tag"])
            assert lease is not None
            await opened.state.cache.release(lease)
            assert (await opened.state.windows.admit("client", QUOTA, decision(1))).admitted


async def _event(record, name: str) -> bool:
    return name in record.names()


async def _calls(server) -> dict[str, int]:
    """How often each command was called, without what the test itself asks."""
    told = await server.info("commandstats")
    return {
        name.removeprefix("cmdstat_"): int(figures.split(",")[0].removeprefix("calls="))
        for name, figures in told.items()
        if name.startswith("cmdstat_")
    }
