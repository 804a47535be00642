"""What a server can send on an open connection: in pieces, unasked, malformed, or the end."""

import asyncio

import pytest
from redis.asyncio.connection import Connection
from redis.exceptions import BusyLoadingError, ResponseError

from cryptosense.state.redis.link import packed
from cryptosense.state.redis.wire import Wire

HANDSHAKE = b"+OK\r\n+OK\r\n"
"""In RESP2, without a name and a database, the driver says only what it is called and its version."""


class Ears:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.reasons: list[str] = []
        self.told: asyncio.Queue[object] = asyncio.Queue()
        self.states: list[bool] = []

    def hear(self, reply: object) -> None:
        self.heard.append(reply)
        self.told.put_nowait(reply)

    def writable(self, yes: bool) -> None:
        self.states.append(yes)
        self.told.put_nowait(yes)

    def lost(self, reason: str) -> None:
        self.reasons.append(reason)
        self.told.put_nowait(reason)

    async def next(self) -> object:
        async with asyncio.timeout(5):
            return await self.told.get()


class Server:
    """Speaks to the client that came last, in the bytes that the test chooses."""

    def __init__(self) -> None:
        self.met_so_far: list[asyncio.StreamWriter] = []
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None
        self.met = asyncio.Event()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.met_so_far.append(writer)
        self.say(HANDSHAKE)
        self.met.set()

    def say(self, words: bytes) -> None:
        self.writer.write(words)


@pytest.fixture
async def world():
    speaker = Server()
    listening = await asyncio.start_server(speaker.meet, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    connection = Connection(host="127.0.0.1", port=port, protocol=2)
    await connection.connect()
    await speaker.met.wait()
    wire, ears = Wire(connection), Ears()
    wire.serve(ears)
    yield wire, ears, speaker
    await wire.close()
    for writer in speaker.met_so_far:
        writer.close()
    listening.close()


async def test_what_is_sent_arrives_and_replies_come_in_their_order(world):
    wire, ears, server = world
    wire.send(packed("PING"))
    async with asyncio.timeout(5):
        assert (await server.reader.readuntil(packed("PING"))).endswith(packed("PING"))
    server.say(b"+PONG\r\n:1\r\n$3\r\nabc\r\n$-1\r\n*2\r\n:1\r\n$1\r\nx\r\n")
    assert [await ears.next() for _ in range(5)] == [b"PONG", 1, b"abc", None, [1, b"x"]]


async def test_a_reply_may_come_in_pieces(world):
    _, ears, server = world
    for piece in (b"$10\r\n01", b"2345", b"6789\r", b"\n+OK\r\n"):
        server.say(piece)
        await server.writer.drain()
        await asyncio.sleep(0.01)
    assert [await ears.next(), await ears.next()] == [b"0123456789", b"OK"]


async def test_an_error_reply_is_heard_as_the_drivers_error_and_the_connection_lives_on(world):
    wire, ears, server = world
    server.say(b"-WRONGTYPE Operation against a key\r\n-LOADING the data set\r\n+OK\r\n")
    wrong, loading, good = [await ears.next() for _ in range(3)]
    assert isinstance(wrong, ResponseError)
    assert str(wrong).startswith("WRONGTYPE")
    assert isinstance(loading, BusyLoadingError)
    assert good == b"OK"
    assert not wire.closing


@pytest.mark.parametrize("refusal", [b"NOAUTH Authentication required.", b"ERR max number of clients reached"])
async def test_an_error_that_speaks_of_the_connection_ends_it_before_it_is_taken_for_a_reply(world, refusal):
    wire, ears, server = world
    server.say(b"+OK\r\n-" + refusal + b"\r\n+OK\r\n")
    assert await ears.next() == b"OK"
    assert "uthentication required" in await ears.next() or "max number of clients" in ears.reasons[0]
    assert ears.heard == [b"OK"]
    assert wire.closing


async def test_what_is_pushed_is_no_reply(world):
    _, ears, server = world
    server.say(b">2\r\n$10\r\ninvalidate\r\n$1\r\nx\r\n+OK\r\n")
    assert await ears.next() == b"OK"


async def test_what_is_no_protocol_ends_the_connection(world):
    wire, ears, server = world
    server.say(b"HTTP/1.1 400 Bad Request\r\n")
    assert "rotocol error" in await ears.next()
    assert wire.closing


async def test_the_end_is_told_once(world):
    wire, ears, server = world
    server.writer.close()
    assert await ears.next() == "the server closed the connection"
    await asyncio.sleep(0.01)
    assert len(ears.reasons) == 1
    assert wire.closing


async def test_a_server_that_takes_nothing_is_noticed_and_so_is_its_taking_again(world):
    wire, ears, server = world
    block = packed("SET", "key", b"x" * 1_000_000)
    for _ in range(30):
        wire.send(block)
    assert await ears.next() is False
    async with asyncio.timeout(20):
        await server.reader.readexactly(30 * len(block))
    assert await ears.next() is True


async def test_after_closing_nothing_is_heard(world):
    wire, ears, server = world
    await wire.close()
    server.say(b"+OK\r\n")
    await asyncio.sleep(0.02)
    assert (ears.heard, ears.reasons) == ([], [])


async def test_a_connection_that_ended_before_it_was_served_is_told_so(world):
    _, _, server = world
    host, port = server.writer.get_extra_info("sockname")
    connection = Connection(host=host, port=port, protocol=2)
    await connection.connect()
    wire, ears = Wire(connection), Ears()
    await connection.disconnect(nowait=True)
    wire.serve(ears)
    assert ears.reasons == ["it was closed"]
