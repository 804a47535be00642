"""FIXED-WINDOW: a window begins with a client's first request, and a new one when it is over."""

from typing import Any

from cryptosense.controls.control import Control
from cryptosense.controls.plan.windows import PlanWindows, windows_of
from cryptosense.state.contracts import Admission, Quota


class FixedWindow(PlanWindows):
    """INCR, and PEXPIRE for the first: twice the limit passes around a window's end."""

    async def admit(self, client: str, quota: Quota, decision: str) -> Admission:
        del decision
        key = self._prefix + client
        count = int(await self._server.incr(key))
        if count == 1:
            await self._server.pexpire(key, quota.window_ms)
        return await self._told(key, quota, count)

    async def peek(self, client: str, quota: Quota) -> Admission:
        key = self._prefix + client
        return await self._told(key, quota, int(await self._server.get(key) or 0) + 1)

    async def _told(self, key: str, quota: Quota, count: int) -> Admission:
        left: Any = await self._server.pttl(key)
        return Admission(count <= quota.limit, max(0, quota.limit - count), left if left > 0 else quota.window_ms)


CONTROL = Control(
    "FIXED-WINDOW",
    "A window begins with the first request and does not slide.",
    {"state": windows_of(FixedWindow)},
    one_server=True,
)
