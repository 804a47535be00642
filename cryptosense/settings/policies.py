"""The named limits, each with its own budget, algorithm and behaviour in an outage."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from cryptosense.errors import ConfigurationError
from cryptosense.settings.environment import Environment

AlgorithmName = Literal["log", "counter", "gcra"]
OutagePolicy = Literal["insure", "refuse", "admit"]
PolicyName = Literal["auth", "api", "strict"]

ALGORITHMS: tuple[AlgorithmName, ...] = get_args(AlgorithmName)
OUTAGE_POLICIES: tuple[OutagePolicy, ...] = get_args(OutagePolicy)
POLICIES: Mapping[PolicyName, tuple[int, int]] = {"auth": (5, 900_000), "api": (100, 900_000), "strict": (10, 60_000)}


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """One named limiter: `limit` per `window_ms`, and what happens while the state is out of reach."""

    name: str
    limit: int
    window_ms: int
    algorithm: AlgorithmName = "log"
    on_outage: OutagePolicy = "insure"


def read_policies(read: Environment) -> dict[str, PolicySettings]:
    """Every policy by its name, from `RATE_LIMIT_<POLICY>_<WHAT>` where that is set.

    Raises:
        ConfigurationError: a value is not acceptable, or a variable names a policy that does not exist.
    """
    for name in read.environ:
        found = re.fullmatch(r"RATE_LIMIT_(.+?)_(MAX|WINDOW_MS|ALGORITHM|ON_OUTAGE)", name)
        if found and found[1] not in {policy.upper() for policy in POLICIES}:
            raise ConfigurationError(f"{name} names a policy that does not exist; there are {', '.join(POLICIES)}")
    policies = {}
    for policy, (limit, window_ms) in POLICIES.items():
        prefix = f"RATE_LIMIT_{policy.upper()}"
        outage = read.choice(f"{prefix}_ON_OUTAGE", OUTAGE_POLICIES, "insure")
        if outage == "admit" and policy != "api":
            raise ConfigurationError(f"{prefix}_ON_OUTAGE must be insure or refuse: {policy} guards what costs most")
        policies[policy] = PolicySettings(
            name=policy,
            limit=read.whole(f"{prefix}_MAX", limit, least=1, most=1_000_000),
            window_ms=read.whole(f"{prefix}_WINDOW_MS", window_ms, least=1, most=7 * 86_400_000),
            algorithm=read.choice(f"{prefix}_ALGORITHM", ALGORITHMS, "log"),
            on_outage=outage,
        )
    return policies  # type: ignore[return-value]  # the keys are the three names
