"""Service instances as processes: the reference or a control, started by name, spoken to over HTTP alone."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from cryptosense.errors import UsageError
from cryptosense.workbench.topology.ports import HOST, free_port
from cryptosense.workbench.topology.process import ManagedProcess
from cryptosense.workbench.topology.skewed_clock import SkewedClock

REFERENCE = "reference"

_KEPT = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "USER", "LOGNAME", "VIRTUAL_ENV", "PYTHONHOME"}
    | {"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"}
)
_KEPT_PREFIXES = ("COV_", "COVERAGE_")
_ASKED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (recognised, not bound)
_ANSWER_S = 2.0


def clean_environment() -> dict[str, str]:
    """What a child needs of this process's environment: no settings of the service, which its plan alone decides."""
    return {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}


def service_command(service: str, *, host: str, port: int) -> list[str]:
    """The command that runs one instance of the reference or of the control with that name."""
    program = ["cryptosense.http"] if service == REFERENCE else ["cryptosense.controls", service]
    return [sys.executable, "-m", *program, "--host", host, "--port", str(port)]


class ServiceInstance(ManagedProcess):
    """Implements `deployment.Instance`. Up when it has said `ready URL` on its output and answers HTTP."""

    start_timeout = 45.0

    def __init__(
        self,
        name: str,
        *,
        folder: Path,
        service: str = REFERENCE,
        settings: Mapping[str, str],
        clock: SkewedClock | None = None,
        host: str = HOST,
        port: int | None = None,
    ) -> None:
        self._host = host
        self._port = port or free_port()
        command = service_command(service, host=host, port=self._port)
        base = {**clean_environment(), "PYTHONUNBUFFERED": "1", **(clock.environment if clock else {})}
        super().__init__(name, command, folder=folder, env={**base, **settings})
        self._clock = clock

    @property
    def url(self) -> str:
        """Where it can be asked: an instance that listens everywhere is asked on the loopback."""
        host = _ASKED_AT.get(self._host, self._host)
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    @property
    def host(self) -> str:
        return self._host

    @property
    def port(self) -> int:
        return self._port

    @property
    def settings(self) -> Mapping[str, str]:
        """The environment with which it was, or will next be, started."""
        return self._env

    def change_settings(self, changes: Mapping[str, str | None]) -> None:
        """Environment variables from the next start on; None removes one."""
        for name, value in changes.items():
            if value is None:
                self._env.pop(name, None)
            else:
                self._env[name] = value

    def set_clock(self, offset_s: float) -> None:
        """Sets the wall clock of the running instance off by that many seconds.

        Raises:
            UsageError: the instance was started without an adjustable clock (`DeploymentPlan.skew_s`).
        """
        self._adjustable_clock().set_offset(offset_s)

    def clock_offset(self) -> float:
        """Seconds by which its clock is off now; raises as `set_clock` does."""
        return self._adjustable_clock().offset_s

    def _adjustable_clock(self) -> SkewedClock:
        if self._clock is None:
            raise UsageError(f"the clock of {self.name} cannot be set; give the plan skew_s (zeros will do)")
        return self._clock

    async def answers(self) -> bool:
        """Any answer to `/livez` will do once the ready line is out: a control may lack the route."""
        if not any(line.startswith("ready ") for line in self.output().splitlines()):
            return False
        try:
            timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{self.url}/livez") as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return False
        return True
