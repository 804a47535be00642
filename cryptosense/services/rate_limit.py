"""Admission per client and policy, and who decides while the state cannot.

The state decides, in one atomic step by its own clock. While it is out of reach the policy says who does: the insurance
(a share of the limit in this process), nobody (the request is refused) or nobody (it passes unmetered). A key that
holds something foreign is a matter of that key alone: the insurance decides for it and the breaker stays closed.
"""

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from cryptosense.clock import Clock
from cryptosense.errors import OutcomeUnknown, StateCorrupt, StateError, StateUnavailable
from cryptosense.services.breaker import Breaker
from cryptosense.services.insurance import Insurance
from cryptosense.services.policy import OnOutage, Policy
from cryptosense.state.contracts import Admission, Algorithm, Quota, WindowState

_log = logging.getLogger(__name__)

_DECISION_BYTES = 9  # 12 characters of base64
_WORTH_ANOTHER_TRY_MS = 20.0


class Source(StrEnum):
    """Who decided."""

    STATE = "state"
    INSURANCE = "insurance"
    UNMETERED = "unmetered"


@dataclass(frozen=True, slots=True)
class Decision:
    """One request's admission.

    `limit` is the one in force: the policy's, or the insurance's share of it. `reset_s`: whole seconds, rounded up,
    until quota next increases; 0 when all of it is free.
    """

    policy: Policy
    admitted: bool
    limit: int
    remaining: int
    reset_s: int
    source: Source

    @property
    def retry_after(self) -> int | None:
        """Seconds after which a client that was denied is admitted, at least 1; None for an admitted one."""
        return None if self.admitted else self.reset_s


class RateLimiter:
    """Decides by named policy.

    Args:
        state: the counters that all instances share.
        policies: by name.
        insurance: decides during an outage, where the policy says so.
        breaker: whether the state is worth asking.
        clock: of this process, to time calls of the state.
        instances: how many share the limit while each is on its own.
        budget_left_ms: what is left of this request's time for the state; None for no second try.
    """

    def __init__(
        self,
        state: WindowState,
        policies: Iterable[Policy],
        insurance: Insurance,
        breaker: Breaker,
        clock: Clock,
        *,
        instances: int = 1,
        budget_left_ms: Callable[[], float] | None = None,
    ) -> None:
        self._state = state
        self.policies = {policy.name: policy for policy in policies}
        self._quotas = {name: policy.quota for name, policy in self.policies.items()}
        self._shares = {name: policy.share(instances) for name, policy in self.policies.items()}
        self._insurance = insurance
        self._breaker = breaker
        self._clock = clock
        self._budget_left_ms = budget_left_ms
        self.counts: Counter[tuple[str, str, str]] = Counter()

    async def decide(self, policy: str, client: str) -> Decision:
        """Admits or denies one request of `client`, who has a budget of its own under each policy.

        Raises:
            KeyError: no such policy.
            StateUnavailable: the state cannot decide and the policy lets nobody else do so.
        """
        named = self.policies[policy]
        key = f"{policy}:{client}"
        if not self._breaker.allows():
            return self._without_state(named, key)
        started = self._clock.monotonic()
        try:
            admission = await self._ask(key, self._quotas[policy])
        except StateCorrupt as error:
            self._breaker.succeeded()
            _log.error("a rate-limit key holds something foreign", extra={"event": "state_corrupt", "key": error.key})
            return self._settle(named, self._insurance.admit(key, self._shares[policy]), Source.INSURANCE)
        except StateError:
            self._breaker.failed(started)
            return self._without_state(named, key)
        self._breaker.succeeded()
        return self._settle(named, admission, Source.STATE)

    async def probe(self) -> None:
        """One real admission under a name of its own: writing must work again, not just answering.

        Raises:
            StateError: it does not.
        """
        await self._state.admit("probe", Quota(limit=1, window_ms=1, algorithm=Algorithm.GCRA), _draw_decision())

    async def _ask(self, key: str, quota: Quota) -> Admission:
        """Asks the state; a second time with the same decision where that cannot count twice and time is left."""
        decision = _draw_decision()
        try:
            return await self._state.admit(key, quota, decision)
        except OutcomeUnknown:
            if quota.algorithm is not Algorithm.LOG or not self._time_for_another_try():
                raise
        return await self._state.admit(key, quota, decision)

    def _time_for_another_try(self) -> bool:
        return self._budget_left_ms is not None and self._budget_left_ms() >= _WORTH_ANOTHER_TRY_MS

    def _without_state(self, policy: Policy, key: str) -> Decision:
        if policy.on_outage is OnOutage.INSURE:
            return self._settle(policy, self._insurance.admit(key, self._shares[policy.name]), Source.INSURANCE)
        if policy.on_outage is OnOutage.REFUSE:
            self.counts[policy.name, "refused", Source.STATE.value] += 1
            raise StateUnavailable(f"the state is away and policy {policy.name!r} refuses to guess")
        unmetered = Admission(admitted=True, remaining=0, reset_ms=policy.window_ms)
        return self._settle(policy, unmetered, Source.UNMETERED)

    def _settle(self, policy: Policy, admission: Admission, source: Source) -> Decision:
        limit = self._shares[policy.name].limit if source is Source.INSURANCE else policy.limit
        reset_s = -(-admission.reset_ms // 1000)
        self.counts[policy.name, "admitted" if admission.admitted else "denied", source.value] += 1
        return Decision(
            policy=policy,
            admitted=admission.admitted,
            limit=limit,
            remaining=admission.remaining,
            reset_s=reset_s if admission.admitted else max(1, reset_s),
            source=source,
        )


def _draw_decision() -> str:
    return secrets.token_urlsafe(_DECISION_BYTES)
