"""What can be changed about `failover`: which failures, how long, and under how much load."""

from pydantic import Field, field_validator

from cryptosense.workbench.deployment import StoreKind
from cryptosense.workbench.experiment import Parameters
from cryptosense.workbench.experiments.failover_scenarios import SCENARIOS, Scenario

QUICK = ("sentinel-kill", "kill-restart", "freeze", "script-flush")


class FailoverParameters(Parameters):
    instances: int = Field(default=3, ge=1, le=16, description="service instances behind round robin")
    service: str = Field(default="reference", description="what is judged: the reference, or a control by name")
    scenarios: tuple[str, ...] = Field(default=QUICK, description=f"failures, of {', '.join(SCENARIOS)}")
    sessions: int = Field(default=6, ge=1, description="sessions that rotate their CSRF token all the time")
    post_every_s: float = Field(default=0.4, gt=0, description="pause of a session between two rotations, in s")
    probe_every_s: float = Field(default=0.04, gt=0, description="pause between two probes of the limit, in s")
    limit: int = Field(default=14, ge=3, description="admissions per window and client during the run")
    window_s: float = Field(default=2.0, gt=0.5, description="length of that window in s")
    before_s: float = Field(default=1.2, ge=0.5, description="steady state before the fault, in s")
    after_s: float = Field(default=3.5, ge=2.5, description="how long the hypothesis is checked after the cure, in s")
    hold_factor: float = Field(default=1.0, gt=0, description="how many times as long as usual each failure lasts")
    recover_s: float = Field(default=12.0, gt=0, description="longest wait for a store that elects a new primary, in s")

    @field_validator("scenarios")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in SCENARIOS]
        if unknown or not names:
            raise ValueError(
                f"there is no failure {', '.join(unknown) or '(none given)'}; choose of {', '.join(SCENARIOS)}"
            )
        return names

    @property
    def chosen(self) -> list[Scenario]:
        return [SCENARIOS[name] for name in self.scenarios]

    @property
    def insurance(self) -> int:
        """What all instances together may admit beyond the limit in a window with an outage."""
        return self.instances * max(1, self.limit // self.instances)


def stores_of(parameters: FailoverParameters) -> dict[StoreKind, list[Scenario]]:
    """The chosen failures by the store that they need, so that each store is brought up once."""
    grouped: dict[StoreKind, list[Scenario]] = {}
    for scenario in parameters.chosen:
        grouped.setdefault(scenario.store, []).append(scenario)
    return grouped
