"""The link alone, where a real server does not misbehave on demand."""

import asyncio
import time

import pytest

from cryptosense.errors import OutcomeUnknown, StateUnavailable
from cryptosense.state.redis.link import WRITE_CALLS, Link, packed
from cryptosense.state.redis.wire import Listener


class FakeWire:
    """A wire whose replies the test gives by hand."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.listener: Listener | None = None
        self.closing = False
        self.closed = False

    def serve(self, listener: Listener) -> None:
        self.listener = listener

    def send(self, packed: bytes) -> None:
        self.sent.append(packed)

    async def close(self) -> None:
        self.closed = True

    def reply(self, *replies: object) -> None:
        for reply in replies:
            self.listener.hear(reply)


@pytest.fixture
async def world(record):
    wires: list[FakeWire] = []

    async def opening() -> FakeWire:
        wires.append(FakeWire())
        return wires[-1]

    link = Link("fake", opening, stall_s=0.2, observer=record)
    assert await link.wait_ready(5)
    while wires[0].listener is None:  # noqa: ASYNC110 - the link tells nobody
        await asyncio.sleep(0)
    yield link, wires
    await link.close()


def soon(link: Link, seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def pings(count: int, first: int = 0) -> list[bytes]:
    return [packed("PING", str(number)) for number in range(first, first + count)]


async def test_a_call_on_an_idle_link_leaves_at_once(world):
    link, (wire,) = world
    lone = link.submit(packed("PING"), soon(link))
    assert wire.sent == [packed("PING")]
    wire.reply(b"PONG")
    assert await lone == b"PONG"


async def test_calls_of_one_turn_leave_together_while_a_reply_is_awaited(world):
    link, (wire,) = world
    futures = [link.submit(command, soon(link)) for command in pings(WRITE_CALLS)]
    await asyncio.sleep(0)
    assert wire.sent == [pings(1)[0], b"".join(pings(WRITE_CALLS - 1, 1))]
    wire.reply(*range(WRITE_CALLS))
    assert await asyncio.gather(*futures) == list(range(WRITE_CALLS))


async def test_of_many_calls_the_first_leave_while_the_rest_is_still_being_made(world):
    link, (wire,) = world
    futures = [link.submit(command, soon(link)) for command in pings(2 * WRITE_CALLS + 4)]
    assert [write.count(b"PING") for write in wire.sent] == [1, WRITE_CALLS, WRITE_CALLS]
    await asyncio.sleep(0)
    assert [write.count(b"PING") for write in wire.sent] == [1, WRITE_CALLS, WRITE_CALLS, 3]
    wire.reply(*range(len(futures)))
    assert await asyncio.gather(*futures) == list(range(len(futures)))


async def test_commands_that_belong_together_leave_as_one_write(world):
    link, (wire,) = world
    futures = link.submit_all(pings(3), soon(link))
    assert wire.sent == [b"".join(pings(3))]
    wire.reply(1, 2, 3)
    assert await asyncio.gather(*futures) == [1, 2, 3]


async def test_while_the_server_takes_nothing_calls_wait_here_and_leave_when_it_does(world):
    link, (wire,) = world
    link.writable(False)
    waiting = link.submit(packed("PING"), soon(link))
    hopeless = link.submit(packed("PING", "2"), soon(link, 0.05))
    with pytest.raises(StateUnavailable, match="could not be asked"):
        await hopeless
    assert wire.sent == []
    link.writable(True)
    assert wire.sent == [packed("PING")]
    wire.reply(b"PONG")
    assert await waiting == b"PONG"


async def test_nothing_is_written_to_a_wire_that_is_closing_so_its_outcome_is_known(world):
    link, wires = world
    wires[0].closing = True
    call = link.submit(packed("PING"), soon(link))
    link.lost("reset")
    with pytest.raises(StateUnavailable, match="reset"):
        await call
    assert wires[0].sent == []


async def test_a_reply_that_nobody_asked_for_ends_the_connection(world):
    _, wires = world
    wires[0].reply(b"surprise")
    async with asyncio.timeout(5):
        while len(wires) < 2:  # noqa: ASYNC110 - the link tells nobody
            await asyncio.sleep(0.01)
    assert wires[0].closed


async def test_a_call_that_was_given_up_keeps_its_place_among_the_replies(world):
    link, (wire,) = world
    late = link.submit(packed("ONE"), soon(link, 0.05))
    good = link.submit(packed("TWO"), soon(link))
    with pytest.raises(OutcomeUnknown):
        await late
    wire.reply("for one", "for two")
    assert await good == "for two"


async def test_a_busy_event_loop_is_not_taken_for_a_silent_server(world):
    link, (wire,) = world
    call = link.submit(packed("PING"), soon(link, 0.1))
    asyncio.get_running_loop().call_later(0.15, wire.reply, b"PONG")  # lies there unread when the deadline is looked at
    time.sleep(0.3)  # noqa: ASYNC251 - the loop is to be late
    assert await call == b"PONG"
    assert not wire.closed


async def test_a_server_that_owes_a_reply_for_too_long_is_dropped(world, record):
    link, wires = world
    with pytest.raises(OutcomeUnknown):
        await link.submit(packed("PING"), soon(link, 0.05))
    async with asyncio.timeout(5):
        while not wires[0].closed:  # noqa: ASYNC110 - the link tells nobody
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


@pytest.mark.parametrize("succeeds", [True, False])
async def test_closing_ends_a_link_whose_driver_swallows_the_cancellation(succeeds, record):
    wires: list[FakeWire] = []

    async def opening() -> FakeWire:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if not succeeds:
                raise OSError("refused") from None
        wires.append(FakeWire())
        return wires[-1]

    link = Link("fake", opening, stall_s=0.2, observer=record)
    assert not await link.wait_ready(0.05)
    async with asyncio.timeout(5):
        await link.close()
    assert [wire.closed for wire in wires] == [True] * succeeds
    with pytest.raises(StateUnavailable, match="closed"):
        await link.submit(packed("PING"), soon(link))


async def test_a_connection_that_does_not_last_is_followed_by_a_pause_in_which_calls_fail_at_once(world, record):
    link, wires = world
    link.lost("reset")
    async with asyncio.timeout(5):
        while not link.down and len(wires) < 2:  # noqa: ASYNC110 - the link tells nobody
            await asyncio.sleep(0)
    with pytest.raises(StateUnavailable, match="reset"):
        await link.submit(packed("PING"), soon(link))
    assert await link.wait_ready(5)
    assert record.names() == ["connect", "ready", "close", "reconnecting", "connect", "ready"]
