"""The failures that `failover` knows: on which store, what is done, and what may then be lost."""

from dataclasses import dataclass
from typing import Literal

from cryptosense.workbench.deployment import StoreKind


@dataclass(frozen=True, slots=True)
class Scenario:
    """One failure of one kind of store; `fault` as `workbench.faults` writes it.

    `hold_s` is how long it lasts before it is cured; None: until the store has found itself a new primary. `may_lose`
    is the most acknowledged writes that may be lost, None where replication is asynchronous and each has to be counted.
    `again_s` is the budget from the fault to good writes on every instance, None where only the time from the store's
    own answer counts. A `control` is a store that must lose writes: it shows that the account of them can see.
    `felt` is who is left without the store: everybody; the services alone, whose wire or writes suffer and not the
    store's own answers; or nobody.
    """

    name: str
    store: StoreKind
    fault: str
    label: str
    hold_s: float | None
    may_lose: int | None = 0
    control: bool = False
    again_s: float | None = None
    felt: Literal["by all", "by services", "by nobody"] = "by all"

    @property
    def phase(self) -> str:
        return self.name


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "sentinel-kill",
            StoreKind.SENTINEL,
            "kill",
            "primary killed (SIGKILL)",
            hold_s=None,
            may_lose=None,
            again_s=3.0,  # down-after 1.5 s and 1.5 s
        ),
        Scenario(
            "sentinel-freeze",
            StoreKind.SENTINEL,
            "freeze",
            "primary frozen (SIGSTOP)",
            hold_s=None,
            may_lose=None,
            again_s=4.0,  # down-after 1.5 s and 2.5 s
        ),
        Scenario(
            "sentinel-demote",
            StoreKind.SENTINEL,
            "demote",
            "primary demoted",
            hold_s=None,
            may_lose=None,
            felt="by services",
        ),
        Scenario("kill-restart", StoreKind.STANDALONE_AOF, "kill", "server killed, restarted from its AOF", 1.0),
        Scenario(
            "kill-forget", StoreKind.STANDALONE, "kill", "server without a disk killed and restarted", 1.0, control=True
        ),
        Scenario("freeze", StoreKind.STANDALONE_AOF, "freeze", "server frozen (SIGSTOP)", 2.0),
        Scenario("script-flush", StoreKind.STANDALONE_AOF, "flush", "scripts flushed", 0.5, felt="by nobody"),
        Scenario("drop", StoreKind.STANDALONE_AOF, "drop", "connections dropped", 1.0, felt="by services"),
        Scenario("slow", StoreKind.STANDALONE_AOF, "slow(400)", "replies slowed by 400 ms", 3.0, felt="by services"),
        Scenario("full-memory", StoreKind.STANDALONE_AOF, "full", "memory full", 2.0, felt="by services"),
    )
}
