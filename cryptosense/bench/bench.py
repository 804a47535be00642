"""What every row is given: an embedded server of the bench's own, our state on it, and how long to measure."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import redis.asyncio

from cryptosense.bench.peers import missing_peers
from cryptosense.bench.race import Contender
from cryptosense.errors import CouldNotStart
from cryptosense.settings import RedisSettings
from cryptosense.state.catalog import open_redis
from cryptosense.state.contracts import StateSet
from cryptosense.workbench.topology.servers import start_standalone

PREFIX = "bench:"


@dataclass(frozen=True, slots=True)
class Bench:
    """`calls` a lap and `rounds` a race; `floor` is one `EVALSHA 'return 1'` through redis-py."""

    url: str
    server: Any
    state: StateSet
    floor: Contender
    calls: int
    rounds: int
    without_peers: bool
    folder: Path

    async def bytes_of(self, part: str) -> int:
        """MEMORY USAGE of the one key whose name holds `part`.

        Raises:
            LookupError: there is none, or more than one.
        """
        keys = [key async for key in self.server.scan_iter(match=f"{PREFIX}*{part}*", count=1_000)]
        if len(keys) != 1:
            raise LookupError(f"{len(keys)} keys hold {part!r}, expected one")
        return int(await self.server.memory_usage(keys[0], samples=0))


@asynccontextmanager
async def open_bench(*, calls: int, rounds: int) -> AsyncIterator[Bench]:
    """Starts a server and opens our state and a plain client on it; ends all of it on leaving."""
    with TemporaryDirectory(prefix="cryptosense-bench-") as folder:
        async with await start_standalone(Path(folder)) as server:
            plain: Any = redis.asyncio.Redis(port=server.port)
            script = await plain.script_load("return 1")

            async def floor(_number: int) -> object:
                return await plain.evalsha(script, 0)

            address = RedisSettings(kind="standalone", nodes=(("127.0.0.1", server.port),))
            opened = open_redis(address, prefix=PREFIX, budget_ms=5_000, client_name="bench")
            try:
                if not await opened.wait_ready(10):
                    raise CouldNotStart("the bench's own server does not answer")
                yield Bench(
                    url=f"redis://127.0.0.1:{server.port}",
                    server=plain,
                    state=opened.state,
                    floor=Contender("EVALSHA", floor),
                    calls=calls,
                    rounds=rounds,
                    without_peers=bool(missing_peers()),
                    folder=Path(folder),
                )
            finally:
                await opened.close()
                await plain.aclose()
