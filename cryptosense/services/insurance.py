"""The in-process limiter that stands in while the state is out of reach."""

from cryptosense.clock import Clock
from cryptosense.state.contracts import Admission, Quota


class Insurance:
    def __init__(self, clock: Clock, *, clients: int = 10_000) -> None: ...
    def admit(self, client: str, quota: Quota) -> Admission: ...
