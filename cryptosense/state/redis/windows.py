"""Sliding windows in Redis; the decision is a script for each algorithm, and the clock is Redis's own."""

from collections.abc import AsyncIterator
from hashlib import blake2b
from struct import Struct

from cryptosense.state.contracts import Admission, Algorithm, Quota
from cryptosense.state.keys import part, text
from cryptosense.state.redis.channel import Channel
from cryptosense.state.tokens import checked_decision

LONG_LOG = 1024
"""The log of a larger limit is read in parts, and a repeated decision looked for among so many of the newest."""

_ANSWER = Struct(">??QQ")
"""The scripts' reply: admitted, replayed, remaining, ms until quota increases."""

_SCRIPTS = {algorithm: f"admit_{algorithm.value}" for algorithm in Algorithm}


class RedisWindows:
    """Implements `WindowState`."""

    def __init__(self, channel: Channel, prefix: str) -> None:
        self._channel = channel
        self._prefix = f"{prefix}rate:"

    async def admit(self, client: str, quota: Quota, decision: str) -> Admission:
        # Eight bytes tell the decisions of one window apart and keep the log small (birthday bound 2^-64 a pair).
        return await self._ask(client, quota, blake2b(checked_decision(decision), digest_size=8).digest(), reads=False)

    async def peek(self, client: str, quota: Quota) -> Admission:
        return await self._ask(client, quota, b"", reads=True)

    async def forget(self, client: str) -> None:
        await self._channel.unlink([self._key(client, algorithm) for algorithm in Algorithm])

    async def live(self) -> AsyncIterator[str]:
        told: set[str] = set()
        async for keys in self._channel.scan(f"{self._prefix}*"):
            for key in keys:
                client = text(key[key.index("{") + 1 : -1])
                if client not in told:
                    told.add(client)
                    yield client

    async def _ask(self, client: str, quota: Quota, decision: bytes, *, reads: bool) -> Admission:
        algorithm = quota.algorithm
        keys = [self._key(client, algorithm)]
        if algorithm is Algorithm.LOG and quota.limit > LONG_LOG:
            asked = self._channel.run(
                "admit_long_log", keys, quota.limit, quota.window_ms, decision, LONG_LOG, reads=reads
            )
        else:
            asked = self._channel.run(_SCRIPTS[algorithm], keys, quota.limit, quota.window_ms, decision, reads=reads)
        admitted, replayed, remaining, reset_ms = _ANSWER.unpack(await asked)
        return Admission(admitted, remaining, reset_ms, replayed)

    def _key(self, client: str, algorithm: Algorithm) -> str:
        return f"{self._prefix}{algorithm.value}:{{{part(client)}}}"
