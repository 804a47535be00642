"""RATE-3: whoever is denied is told to wait for the whole window."""

from dataclasses import replace

from cryptosense.controls.control import Control
from cryptosense.http.parts import Parts
from cryptosense.services.rate_limit import Decision, RateLimiter


class WholeWindow:
    """Decides as the reference and reports the window's length as the wait."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self.policies = limiter.policies
        self.counts = limiter.counts
        self.probe = limiter.probe

    async def decide(self, policy: str, client: str) -> Decision:
        decision = await self._limiter.decide(policy, client)
        return replace(decision, reset_s=-(-decision.policy.window_ms // 1000))


CONTROL = Control(
    "RATE-3",
    "Retry-After is the length of the window, however soon a slot frees.",
    {"limiter": lambda parts: WholeWindow(Parts.limiter.build(parts))},
)
