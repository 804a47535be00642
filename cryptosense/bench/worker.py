"""One of several processes that decide at once: `python -m cryptosense.bench.worker PORT ours|floor CALLS`.

Prints `ready`, waits for a line, works, and prints seconds per operation.
"""

import asyncio
import secrets
import sys
from typing import Any

import redis.asyncio

from cryptosense.bench.bench import PREFIX
from cryptosense.bench.peers import client_of
from cryptosense.bench.race import Contender, race
from cryptosense.http.server import loop_factory
from cryptosense.settings import RedisSettings
from cryptosense.state.catalog import open_redis
from cryptosense.state.contracts import Quota

TASKS = 64
QUOTA = Quota(100, 60_000)


async def work(port: int, who: str, calls: int) -> None:
    opened = open_redis(
        RedisSettings(kind="standalone", nodes=(("127.0.0.1", port),)),
        prefix=PREFIX,
        budget_ms=5_000,
        client_name="worker",
    )
    plain: Any = redis.asyncio.Redis(port=port)
    script = await plain.script_load("return 1")

    async def floor(_number: int) -> object:
        return await plain.evalsha(script, 0)

    async def ours(number: int) -> object:
        return await opened.state.windows.admit(client_of(number), QUOTA, secrets.token_urlsafe(9))

    call = ours if who == "ours" else floor
    await call(0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    laps = await race([Contender(who, call)], tasks=TASKS, calls=calls, rounds=1)
    sys.stdout.write(str(laps[who][0].wall))
    await plain.aclose()
    await opened.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(work(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
