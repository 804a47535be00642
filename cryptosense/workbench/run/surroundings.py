"""What the command line tells a kernel, and what the kernel's machine is.

The two are separate processes with a notebook between them, so they speak through the environment. Passwords travel
there and nowhere else: what is written to a run's files is redacted first.
"""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from cryptosense.errors import ConfigurationError
from cryptosense.settings import RedisSettings, Settings
from cryptosense.workbench.experiment import Profile
from cryptosense.workbench.run.library import REPORTS
from cryptosense.workbench.targets.ceilings import Ceilings

_PACKAGES = (
    "cryptosense",
    "redis",
    "hiredis",
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "aiohttp",
    "httpx",
    "papermill",
    "pandas",
    "matplotlib",
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`folder` is the experiment's folder of a run that the command line conducts, None for a notebook by hand.

    `redis_url` names a given server, `target` is a foreign deployment as JSON (`cryptosense.workbench.target.Target`)
    and `ceilings` what it may be sent at most.
    """

    folder: Path | None = None
    profile: Profile = "quick"
    reports: Path = Path(REPORTS)
    redis_url: str | None = None
    target: str | None = None
    ceilings: Ceilings = field(default_factory=Ceilings)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Surroundings":
        folder = environ.get("CRYPTOSENSE_RUN")
        return cls(
            folder=Path(folder) if folder else None,
            profile="full" if environ.get("CRYPTOSENSE_PROFILE") == "full" else "quick",
            reports=Path(environ.get("CRYPTOSENSE_REPORTS") or REPORTS),
            redis_url=environ.get("CRYPTOSENSE_REDIS_URL") or None,
            target=environ.get("CRYPTOSENSE_TARGET") or None,
            ceilings=Ceilings(**json.loads(environ.get("CRYPTOSENSE_CEILINGS") or "{}")),
        )

    def to_environment(self) -> dict[str, str]:
        """The variables that `from_environment` reads back; empty ones hide what the user's shell may have set."""
        return {
            "CRYPTOSENSE_RUN": "" if self.folder is None else str(self.folder.resolve()),
            "CRYPTOSENSE_PROFILE": self.profile,
            "CRYPTOSENSE_REPORTS": str(self.reports.resolve()),
            "CRYPTOSENSE_REDIS_URL": self.redis_url or "",
            "CRYPTOSENSE_TARGET": self.target or "",
            "CRYPTOSENSE_CEILINGS": json.dumps(asdict(self.ceilings)),
        }


def redacted(url: str) -> str:
    """The URL without user name and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"***@{host}" if "@" in parts.netloc else host, parts.path, "", ""))


def redis_address(url: str | None) -> RedisSettings:
    """The server at `url`, or at `REDIS_URL`, with whatever the other Redis variables of the environment say of it.

    Raises:
        ConfigurationError: none is named, or what is said of it is malformed.
    """
    named = {name: value for name, value in os.environ.items() if name.startswith(("REDIS_", "SENTINEL_"))}
    if url:
        named["REDIS_URL"] = url
    found = Settings.from_environment({**named, "SIGNING_SECRET": os.urandom(32).hex()}).redis
    if found is None:
        raise ConfigurationError("name a Redis: redis://host:port, as an argument or in REDIS_URL")
    return found


def describe_environment(server: Mapping[str, str]) -> dict[str, Any]:
    """Versions, cores and the server, as they stand in `results.json`. `server` has `kind` and `version`."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": _cores(),
        "server": dict(server),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _cores() -> int:
    """The cores that this process may use, which in a container are often fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
