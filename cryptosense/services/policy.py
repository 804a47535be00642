"""Named rate-limit policies: how many, in which window, by which algorithm, and what to do while the state is away."""

import re
from dataclasses import dataclass
from enum import StrEnum

from cryptosense.errors import ConfigurationError
from cryptosense.state.contracts import Algorithm, Quota

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


class OnOutage(StrEnum):
    """Who decides while the state cannot."""

    INSURE = "insure"  # a bounded limiter in the process, with a share of the limit
    REFUSE = "refuse"  # nobody: the request is answered 503
    ADMIT = "admit"  # nobody: the request passes unmetered


@dataclass(frozen=True, slots=True)
class Policy:
    """At most `limit` admissions of one client in any window of `window_ms`.

    Raises:
        ConfigurationError: a name that is no lower-case word, or a limit or window that is not positive.
    """

    name: str
    limit: int
    window_ms: int
    algorithm: Algorithm = Algorithm.LOG
    on_outage: OnOutage = OnOutage.INSURE

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(f"a policy's name is a lower-case word, not {self.name!r}")
        if self.limit < 1 or self.window_ms < 1:
            raise ConfigurationError(f"policy {self.name!r} needs a limit and a window of at least 1")

    @property
    def quota(self) -> Quota:
        """What the state is asked for."""
        return Quota(self.limit, self.window_ms, self.algorithm)

    def share(self, instances: int) -> Quota:
        """What one of `instances` may admit on its own; always counted exactly."""
        return Quota(max(1, self.limit // max(1, instances)), self.window_ms, Algorithm.LOG)


DEFAULT_POLICIES = (
    Policy("auth", limit=5, window_ms=15 * 60_000),
    Policy("api", limit=100, window_ms=15 * 60_000),
    Policy("strict", limit=10, window_ms=60_000),
)
