"""RATE-9: a decision whose reply was lost is asked again under a new id, and counts twice."""

import secrets

from cryptosense.controls.control import Control
from cryptosense.controls.plan.state import state_with
from cryptosense.errors import OutcomeUnknown
from cryptosense.state.contracts import Admission, Quota, WindowState


class CountsTwice:
    """A `WindowState` that forgets which decision it was asked for."""

    def __init__(self, windows: WindowState) -> None:
        self._windows = windows
        self.peek = windows.peek
        self.forget = windows.forget
        self.live = windows.live

    async def admit(self, client: str, quota: Quota, decision: str) -> Admission:
        del decision
        try:
            return await self._windows.admit(client, quota, secrets.token_urlsafe(9))
        except OutcomeUnknown:
            return await self._windows.admit(client, quota, secrets.token_urlsafe(9))


CONTROL = Control(
    "RATE-9",
    "A repeated decision is counted again.",
    {"state": state_with(windows=lambda state, _server, _prefix: CountsTwice(state.windows))},
    one_server=True,
)
