"""RATE-8: an error of the script counts as a denial, for ever."""

from cryptosense.controls.control import Control
from cryptosense.controls.plan.state import state_with
from cryptosense.errors import StateCorrupt
from cryptosense.state.contracts import Admission, Quota, WindowState


class DeniesOnError:
    """A `WindowState` that cannot tell an error from a full window."""

    def __init__(self, windows: WindowState) -> None:
        self._windows = windows
        self.peek = windows.peek
        self.forget = windows.forget
        self.live = windows.live

    async def admit(self, client: str, quota: Quota, decision: str) -> Admission:
        try:
            return await self._windows.admit(client, quota, decision)
        except StateCorrupt:
            return Admission(admitted=False, remaining=0, reset_ms=quota.window_ms)


CONTROL = Control(
    "RATE-8",
    "What a script cannot read is answered with 429.",
    {"state": state_with(windows=lambda state, _server, _prefix: DeniesOnError(state.windows))},
    one_server=True,
)
