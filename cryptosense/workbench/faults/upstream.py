"""Faults of the market-data provider."""

from typing import Literal, cast

from cryptosense.errors import UsageError
from cryptosense.workbench.deployment import Capability
from cryptosense.workbench.faults.fault import Fault

_HEALTHS = ("failing", "hanging")


class UpstreamOutage(Fault):
    """The simulated CoinGecko answers 503 (`failing`) or not at all (`hanging`)."""

    name, label, hatch = "upstream", "upstream down", "|/"
    accepts = "failing or hanging"

    def prepare(self) -> None:
        self.refuse_arguments(beyond=1)
        health = self.arguments[0] if self.arguments else "failing"
        if health not in _HEALTHS:
            raise self.wrong_arguments()
        if Capability.UPSTREAM_CONTROL not in self.deployment.capabilities or self.deployment.upstream is None:
            raise UsageError("upstream needs a provider whose health the run can set")
        self._upstream = self.deployment.upstream
        self._health = cast("Literal['failing', 'hanging']", health)

    async def inject(self) -> None:
        self.subject = "coingecko"
        await self._upstream.configure(health=self._health)

    async def cure(self) -> None:
        if self.subject:
            await self._upstream.configure(health="up")
