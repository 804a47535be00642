"""The link alone, where a real server does not misbehave on demand."""

import asyncio
import time

import pytest

from cryptosense.errors import OutcomeUnknown, StateUnavailable
from cryptosense.state.redis.link import Link, packed


class FakeConnection:
    """A connection whose replies the test puts in by hand."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.replies: asyncio.Queue[object] = asyncio.Queue()
        self.failure: Exception | None = None
        self.closed = False

    async def send_packed_command(self, command: bytes, check_health: bool = True) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append(command)

    async def read_response(self, **_options: object) -> object:
        reply = await self.replies.get()
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def disconnect(self, nowait: bool = False) -> None:
        self.closed = True


@pytest.fixture
async def world(record):
    connections: list[FakeConnection] = []

    async def opening() -> FakeConnection:
        connections.append(FakeConnection())
        return connections[-1]

    link = Link("fake", opening, stall_s=0.2, observer=record)
    assert await link.wait_ready(5)
    yield link, connections
    await link.close()


def soon(link: Link, seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_calls_of_one_turn_leave_as_one_write_and_a_lone_call_as_it_is(world):
    link, (connection,) = world
    futures = [link.submit(packed("PING", str(number)), soon(link)) for number in range(64)]
    for number in range(64):
        connection.replies.put_nowait(number)
    assert await asyncio.gather(*futures) == list(range(64))
    assert connection.sent == [b"".join(packed("PING", str(number)) for number in range(64))]
    lone = link.submit(packed("PING"), soon(link))
    connection.replies.put_nowait(b"PONG")
    assert await lone == b"PONG"
    assert connection.sent[1:] == [packed("PING")]


async def test_a_write_to_a_dropped_stream_is_a_lost_connection_and_not_an_attribute_error(world, record):
    link, connections = world
    connections[0].failure = AttributeError("'NoneType' object has no attribute 'writelines'")
    with pytest.raises(OutcomeUnknown, match="writelines"):
        await link.submit(packed("PING"), soon(link))
    assert connections[0].closed
    assert "close" in record.names()


async def test_a_reply_that_nobody_asked_for_ends_the_connection(world):
    _, connections = world
    connections[0].replies.put_nowait(b"surprise")
    async with asyncio.timeout(5):
        while len(connections) < 2:  # noqa: ASYNC110 - the link tells nobody
            await asyncio.sleep(0.01)
    assert connections[0].closed


async def test_a_call_that_was_given_up_keeps_its_place_among_the_replies(world):
    link, (connection,) = world
    late = link.submit(packed("ONE"), soon(link, 0.05))
    good = link.submit(packed("TWO"), soon(link))
    with pytest.raises(OutcomeUnknown):
        await late
    connection.replies.put_nowait("for one")
    connection.replies.put_nowait("for two")
    assert await good == "for two"


async def test_a_busy_event_loop_is_not_taken_for_a_silent_server(world):
    link, (connection,) = world
    call = link.submit(packed("PING"), soon(link, 0.1))
    await asyncio.sleep(0.01)
    connection.replies.put_nowait(b"PONG")
    time.sleep(0.3)  # noqa: ASYNC251 - the loop is to be late
    assert await call == b"PONG"
    assert not connection.closed


async def test_a_server_that_owes_a_reply_for_too_long_is_dropped(world, record):
    link, connections = world
    with pytest.raises(OutcomeUnknown):
        await link.submit(packed("PING"), soon(link, 0.05))
    async with asyncio.timeout(5):
        while not connections[0].closed:  # noqa: ASYNC110 - the link tells nobody
            await asyncio.sleep(0.01)
    assert "owed a reply" in str(record.events[-2][1]["reason"])


async def test_closing_fails_what_is_under_way_and_whatever_comes_after(world):
    link, _ = world
    under_way = link.submit(packed("PING"), soon(link))
    await asyncio.sleep(0.01)
    await link.close()
    with pytest.raises(OutcomeUnknown):
        await under_way
    with pytest.raises(StateUnavailable):
        await link.submit(packed("PING"), soon(link))


async def test_a_connection_that_does_not_last_is_followed_by_a_pause_in_which_calls_fail_at_once(world, record):
    link, connections = world
    connections[0].replies.put_nowait(ConnectionResetError("reset"))
    async with asyncio.timeout(5):
        while not link.down and len(connections) < 2:  # noqa: ASYNC110 - the link tells nobody
            await asyncio.sleep(0)
    with pytest.raises(StateUnavailable, match="reset"):
        await link.submit(packed("PING"), soon(link))
    assert await link.wait_ready(5)
    assert record.names() == ["connect", "ready", "close", "reconnecting", "connect", "ready"]
