"""The wire before a store: slow without being narrow, cut without a word, mended without loss."""

import asyncio
import time

import pytest
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionFailed
from redis.exceptions import RedisError
from redis.retry import Retry

from cryptosense.workbench.topology.link import Link
from cryptosense.workbench.topology.servers import start_standalone


@pytest.fixture
async def link(tmp_path):
    async with await start_standalone(tmp_path) as server, Link("link", folder=tmp_path, to_port=server.port) as link:
        await link.start()
        yield link


def client_of(link, timeout=10.0):
    return redis.asyncio.Redis(
        port=link.port, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0)
    )


async def test_a_delay_costs_latency_and_neither_throughput_nor_order(link):
    async with client_of(link) as client:
        await client.ping()
        await link.delay(150)
        started = time.monotonic()
        numbers = [await asyncio.gather(*(client.incr("cs:n") for _ in range(20)))]
        assert time.monotonic() - started >= 0.15
        pipeline = client.pipeline(transaction=False)
        for _ in range(200):
            pipeline.incr("cs:n")
        started = time.monotonic()
        numbers.append(await pipeline.execute())
        assert 0.15 <= time.monotonic() - started < 5  # 200 delays in a row would be thirty seconds
        assert sorted(numbers[0]) == list(range(1, 21))
        assert numbers[1] == list(range(21, 221))


async def test_after_a_silent_cut_what_was_held_back_arrives_on_the_same_connection(link):
    async with client_of(link) as client:
        await client.ping()
        await link.cut("silent")
        held = asyncio.create_task(client.incr("cs:n"))
        await asyncio.sleep(0.3)
        assert not held.done()
        with pytest.raises(RedisError):
            async with client_of(link, timeout=0.2) as another:
                await another.ping()
        await link.mend()
        assert await held == 1


async def test_a_refused_link_resets_connections_and_takes_new_ones_once_mended(link):
    async with client_of(link) as client:
        await client.ping()
        await link.cut("refused")
        for _ in range(2):
            with pytest.raises(ConnectionFailed):
                await client.ping()
        await link.mend()
        assert await client.ping()


async def test_a_wrong_order_is_refused(link):
    with pytest.raises(OSError, match="no such cut"):
        await link.cut("diagonal")
