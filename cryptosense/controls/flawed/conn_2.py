"""CONN-2: after an outage the fallback goes on deciding although Redis has long been answering."""

from cryptosense.controls.control import Control
from cryptosense.services.breaker import Breaker

SLOW_S = 10.0


class Sluggish(Breaker):
    """Looks again every ten seconds, and hurries for nothing."""

    async def watch(self, probe: object) -> None:
        del probe


CONTROL = Control(
    "CONN-2",
    "A fallback once taken is kept for ten seconds.",
    {"breaker": lambda parts: Sluggish(parts.clock, failures=1, probe_every_s=SLOW_S)},
)
