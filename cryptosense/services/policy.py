"""Named rate-limit policies."""

from dataclasses import dataclass
from enum import StrEnum

from cryptosense.state.contracts import Algorithm, Quota


class OnOutage(StrEnum):
    INSURE = "insure"
    REFUSE = "refuse"
    ADMIT = "admit"


@dataclass(frozen=True, slots=True)
class Policy:
    name: str
    limit: int
    window_ms: int
    algorithm: Algorithm = Algorithm.LOG
    on_outage: OnOutage = OnOutage.INSURE

    @property
    def quota(self) -> Quota: ...


DEFAULT_POLICIES: tuple[Policy, ...] = (
    Policy("auth", 5, 900_000),
    Policy("api", 100, 900_000),
    Policy("strict", 10, 60_000),
)
