"""A gate lets requests arrive together, on real connections."""

import asyncio
from contextlib import asynccontextmanager

import httpx

from cryptosense.workbench.client import gate
from cryptosense.workbench.client.gate import Gate

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def listening():
    """A server that notes, at the first byte of each request, how many connections there are."""
    connected, seen = 0, list[int]()

    async def serve(reader, writer):
        nonlocal connected
        connected += 1
        await reader.readuntil(b"\r\n")
        seen.append(connected)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, httpx.AsyncClient() as client:
        port = server.sockets[0].getsockname()[1]

        async def ask(extensions):
            return (await client.get(f"http://127.0.0.1:{port}/", extensions=extensions)).status_code

        yield ask, seen


async def test_no_request_is_sent_before_every_one_of_them_has_its_connection():
    async with listening() as (ask, seen):
        together = {"trace": Gate(8).wait}

        async def late(number):
            await asyncio.sleep(0.02 * number)
            return await ask(together)

        assert await asyncio.gather(*map(late, range(8))) == [200] * 8
        assert seen == [8] * 8


async def test_without_a_gate_the_first_is_answered_before_the_last_is_sent():
    async with listening() as (ask, seen):
        answered = asyncio.Event()

        async def first():
            assert await ask({}) == 200
            answered.set()

        async def last():
            await answered.wait()
            return await ask({})

        async with asyncio.timeout(gate._PATIENCE_S / 2):  # a gate would hold the first for longer
            assert await asyncio.gather(first(), last()) == [None, 200]
        assert seen == [1, 2]


async def test_those_that_wait_for_one_that_never_comes_are_sent_after_a_while(monkeypatch):
    monkeypatch.setattr(gate, "_PATIENCE_S", 2.0)
    async with listening() as (ask, seen):
        together = {"trace": Gate(3).wait}
        assert await asyncio.gather(ask(together), ask(together)) == [200, 200]
        assert seen == [2, 2]


async def test_whoever_comes_after_the_gate_has_opened_passes():
    async with listening() as (ask, seen):
        together = {"trace": Gate(2).wait}
        assert await asyncio.gather(ask(together), ask(together)) == [200, 200]
        assert await ask(together) == 200
        assert seen == [2, 2, 3]
