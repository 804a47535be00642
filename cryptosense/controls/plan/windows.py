"""The plan's limiter: a sorted set of every request, denied ones too, on the caller's clock."""

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from cryptosense.controls.plan.state import state_with
from cryptosense.http.wiring import Replacement
from cryptosense.state.contracts import Admission, Quota


class PlanWindows:
    """A `WindowState` in one MULTI: trim, add, count, expire. What is denied has been added already."""

    def __init__(self, server: Any, prefix: str) -> None:
        self._server = server
        self._prefix = f"{prefix}plan:rate:"

    async def admit(self, client: str, quota: Quota, decision: str) -> Admission:
        key, now = self._prefix + client, time.time() * 1000
        transaction = self._server.pipeline(transaction=True)
        transaction.zremrangebyscore(key, 0, now - quota.window_ms)
        transaction.zadd(key, {f"{now}:{decision}": now})
        transaction.zcount(key, now - quota.window_ms, now)
        transaction.expire(key, math.ceil(quota.window_ms / 1000))
        count = int((await transaction.execute())[2])
        return Admission(count <= quota.limit, max(0, quota.limit - count), quota.window_ms)

    async def peek(self, client: str, quota: Quota) -> Admission:
        count = int(await self._server.zcard(self._prefix + client))
        return Admission(count < quota.limit, max(0, quota.limit - count), quota.window_ms)

    async def forget(self, client: str) -> None:
        await self._server.delete(self._prefix + client)

    async def live(self) -> AsyncIterator[str]:
        async for key in self._server.scan_iter(match=f"{self._prefix}*"):
            yield str(key).removeprefix(self._prefix)


class CheckThenAdd(PlanWindows):
    """Counts first and adds in a second step; whoever comes in between has counted the same."""

    async def admit(self, client: str, quota: Quota, decision: str) -> Admission:
        key, now = self._prefix + client, time.time() * 1000
        await self._server.zremrangebyscore(key, 0, now - quota.window_ms)
        oldest = await self._server.zrange(key, 0, 0, withscores=True)
        count = int(await self._server.zcard(key))
        reset_ms = math.ceil(oldest[0][1] + quota.window_ms - now) if oldest else quota.window_ms
        if count >= quota.limit:
            return Admission(False, 0, reset_ms)
        await asyncio.sleep(0.002)  # the work of a request that has not been counted yet
        await self._server.zadd(key, {f"{decision}:{secrets.token_hex(4)}": now})
        await self._server.pexpire(key, quota.window_ms)
        return Admission(True, quota.limit - count - 1, reset_ms)


def windows_of(kind: type[PlanWindows]) -> Replacement:
    """The part `state`, with these windows on a plain client of the same server."""
    return state_with(windows=lambda _state, server, prefix: kind(server, prefix))
