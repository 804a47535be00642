"""Faults of processes: killed, frozen, restarted."""

from cryptosense.workbench.deployment import Process
from cryptosense.workbench.faults.fault import Fault, check_subject, victim


class _OfAProcess(Fault):
    """Hits the store's primary, or the process that the argument names."""

    accepts = "primary, replica or the name of a process"

    def prepare(self) -> None:
        self.refuse_arguments(beyond=1)
        check_subject(self, self._named)
        self._hit: Process | None = None

    @property
    def _named(self) -> str:
        return self.arguments[0] if self.arguments else "primary"

    async def _choose(self) -> Process:
        self._hit = await victim(self, self._named)
        self.subject = self._hit.name
        return self._hit


class Kill(_OfAProcess):
    """SIGKILL; the cure starts it again on its port, with what its disk kept."""

    name, label, hatch = "kill", "killed", "///"

    async def inject(self) -> None:
        await (await self._choose()).kill()

    async def cure(self) -> None:
        if self._hit is not None and not self._hit.alive():
            await self._hit.restart()


class Freeze(_OfAProcess):
    """SIGSTOP: connections stay open, new ones are accepted by the kernel, and nothing answers."""

    name, label, hatch = "freeze", "frozen", "\\\\\\"

    async def inject(self) -> None:
        (await self._choose()).freeze()

    async def cure(self) -> None:
        if self._hit is not None:
            self._hit.thaw()


class Restart(_OfAProcess):
    """SIGTERM and a new start; over when it answers again."""

    name, label, hatch = "restart", "restarted", "|||"

    async def inject(self) -> None:
        await (await self._choose()).restart()

    async def cure(self) -> None:
        if self._hit is not None and not self._hit.alive():
            await self._hit.restart()
