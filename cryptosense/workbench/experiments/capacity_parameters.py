"""What `capacity` puts into which store, how many of it, and how the rest is reckoned."""

from pydantic import Field, field_validator

from cryptosense.workbench.experiment import Parameters

ONE, MANY = "standalone", "cluster"
"""The stores, as the history labels them."""

USER = ("csrf", "session", "limit-log")
"""What one signed-in user leaves in the store: a token, a session with its index, a limiter's record."""

OTHERS = ("limit-gcra", "limit-counter")
PLANNED_FULL, PLANNED_DENIED, ONE_TAG = "plan-full", "plan-denied", "one-tag"
"""What the controls keep: the plan's limiter at 100 of 100 and after denials, and everybody under one hash tag."""


class CapacityParameters(Parameters):
    identities: tuple[int, ...] = Field(
        default=(1_000, 10_000, 30_000), description="users put into one server, each step counted with those before it"
    )
    cluster_identities: tuple[int, ...] = Field(
        default=(1_000, 10_000), description="users put into a Cluster of three primaries; none leaves it out"
    )
    full_clients: int = Field(default=100, ge=10, description="clients filled to their limit of 100 admissions")
    denied: int = Field(default=300, ge=10, description="requests of each such client that are then denied")
    extrapolate_to: int = Field(default=1_000_000_000, ge=1_000, description="users up to which the rest is reckoned")
    shard_gb: float = Field(default=25.0, gt=0, description="memory of one shard in GB, for reckoning their number")

    @field_validator("identities", "cluster_identities")
    @classmethod
    def _growing(cls, numbers: tuple[int, ...]) -> tuple[int, ...]:
        if any(later <= earlier for earlier, later in zip((0, *numbers), numbers, strict=False)):
            raise ValueError("numbers of identities are positive and grow from step to step")
        return numbers

    @field_validator("identities")
    @classmethod
    def _two_steps(cls, numbers: tuple[int, ...]) -> tuple[int, ...]:
        if len(numbers) < 2:
            raise ValueError("two numbers of identities at least, so that a bend would show")
        return numbers


def shards_for(users: int, bytes_each: float, shard_gb: float) -> int:
    """Shards of that size that hold so many users, one at least."""
    return max(1, -(-int(users * bytes_each) // int(shard_gb * 1e9)))
