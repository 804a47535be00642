"""Faults of clocks."""

from cryptosense.errors import UsageError
from cryptosense.workbench.deployment import Instance
from cryptosense.workbench.faults.fault import Fault


class ClockSkew(Fault):
    """An instance's wall clock jumps by seconds (+960 on `instance-0` unless given), and back at the cure.

    Needs `DeploymentPlan.skew_s`, zeros will do.
    """

    name, label, hatch = "skew", "clock set wrong", "\\\\"
    accepts = "seconds and the name of an instance"

    def prepare(self) -> None:
        self.refuse_arguments(beyond=2)
        try:
            self._seconds = float(self.arguments[0]) if self.arguments else 960.0
        except ValueError:
            raise self.wrong_arguments() from None
        name = self.arguments[1] if len(self.arguments) > 1 else "instance-0"
        self._instance: Instance | None = next((one for one in self.deployment.instances if one.name == name), None)
        if self._instance is None:
            raise UsageError(f"skew needs an instance of the run's own called {name}")
        # Refuses now, not in the middle of a run, where the clock is not adjustable.
        self._before = self._instance.clock_offset()

    async def inject(self) -> None:
        if self._instance is not None:
            self.subject = self._instance.name
            self._instance.set_clock(self._before + self._seconds)

    async def cure(self) -> None:
        if self._instance is not None and self.subject:
            self._instance.set_clock(self._before)
