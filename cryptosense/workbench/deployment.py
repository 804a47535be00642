"""What is judged: a deployment of some service, ours or anybody's, and the handles that a run has on it.

An experiment asks for a `DeploymentPlan` and gets a `Deployment`. For a foreign target the plan's wishes cannot be
granted; what is missing shows in `capabilities`, and a claim that needs a missing one is UNDECIDED with the reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

from cryptosense.workbench.target import Target


class StoreKind(StrEnum):
    NONE = "none"
    STANDALONE = "standalone"
    STANDALONE_AOF = "standalone-aof"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"
    GIVEN = "given"  # named by the user; nothing on it is flushed, frozen or reconfigured


@dataclass(frozen=True, slots=True)
class UpstreamPlan:
    """The simulated CoinGecko: latency in ms drawn evenly from the range, quota in calls a minute (None: no limit)."""

    latency_ms: tuple[int, int] = (200, 500)
    quota_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """What an experiment would like to have running.

    `service` is `reference` or the name of a control. `settings` are environment variables for every instance.
    `skew_s[i]` sets instance i's wall clock off by that many seconds; given at all (zeros will do), the clocks can be
    set while they run. `proxied` puts a wire before a single server that faults can slow down and cut.
    """

    label: str
    service: str = "reference"
    instances: int = 3
    store: StoreKind = StoreKind.STANDALONE
    stage: str = "complete"
    settings: Mapping[str, str] = field(default_factory=dict)
    upstream: UpstreamPlan = field(default_factory=UpstreamPlan)
    skew_s: Sequence[float] = ()
    proxied: bool = False


class Capability(StrEnum):
    RESTART = "restart"  # instances can be stopped, killed, frozen, restarted
    FAULTS = "faults"  # the store can be faulted
    STORE_FIGURES = "store-figures"  # the store's memory and command counts can be read
    UPSTREAM_COUNT = "upstream-count"
    UPSTREAM_CONTROL = "upstream-control"  # the upstream's latency and health can be set
    STAGES = "stages"  # the migration stage can be switched
    ADDRESSES = "addresses"  # requests can come from many client addresses


class Process(Protocol):
    """A process of the run: a service instance or a server."""

    @property
    def name(self) -> str: ...

    @property
    def pid(self) -> int: ...

    @property
    def log(self) -> Path: ...

    def alive(self) -> bool: ...

    async def terminate(self, *, timeout: float = 15.0) -> int:
        """SIGTERM and wait; the exit code. Past the timeout it is killed."""
        ...

    async def kill(self) -> None:
        """SIGKILL and wait."""
        ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    async def restart(self) -> None:
        """Ends it if it lives and starts it again on the same port; returns when it answers."""
        ...


class Instance(Process, Protocol):
    """A service instance."""

    @property
    def url(self) -> str: ...

    def change_settings(self, changes: Mapping[str, str | None]) -> None:
        """Environment variables from the next start on; None removes one."""
        ...

    def set_clock(self, offset_s: float) -> None:
        """Sets the wall clock of the running instance off by that many seconds.

        Raises:
            UsageError: the plan gave no `skew_s`.
        """
        ...

    def clock_offset(self) -> float:
        """Seconds by which its clock is off now; raises as `set_clock` does."""
        ...


class Upstream(Protocol):
    """The simulated CoinGecko's handle."""

    async def calls(self) -> Mapping[str, int]:
        """Calls that it received so far, by path template (`/coins/markets`, `/coins/{id}/market_chart`)."""
        ...

    async def calls_for(self, coins: Sequence[str]) -> int:
        """Calls for the list of just these coins, in any order: what others ask for does not count."""
        ...

    async def configure(
        self,
        *,
        latency_ms: tuple[int, int] | None = None,
        health: Literal["up", "failing", "hanging"] | None = None,
        quota_per_minute: int | None = None,
    ) -> None:
        """Changes what is given; a quota of 0 lifts it."""
        ...


class Store(Protocol):
    """The servers that carry the state."""

    @property
    def kind(self) -> StoreKind: ...

    @property
    def url(self) -> str:
        """For clients; may hold a password, which `redacted` does not."""
        ...

    @property
    def redacted(self) -> str: ...

    @property
    def servers(self) -> Sequence[Process]:
        """Every server process that the run started; empty for a given server."""
        ...

    async def primary(self) -> Process:
        """The process that takes writes now (of the first shard)."""
        ...

    async def info(self, section: str = "default") -> Mapping[str, str]:
        """`INFO` of the primary."""
        ...


class Deployment(Protocol):
    """Something that answers HTTP, and the handles that the run has on it."""

    @property
    def label(self) -> str: ...

    @property
    def target(self) -> Target: ...

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    @property
    def instances(self) -> Sequence[Instance]: ...

    @property
    def store(self) -> Store | None: ...

    @property
    def upstream(self) -> Upstream | None: ...

    async def switch_stage(self, stage: str) -> None:
        """Switches every instance and returns when each says that it is there.

        Raises:
            UsageError: the deployment cannot switch stages.
        """
        ...
