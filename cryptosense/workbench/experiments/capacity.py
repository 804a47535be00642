"""What does it cost at a million users, and at a billion?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from cryptosense.workbench.claims.claim import Checker, Claim, Finding, Judgement, undecided
from cryptosense.workbench.claims.costs import by_identities, no_dearer, spread_evenly, stays_level, within
from cryptosense.workbench.experiment import Chart, Doubt, Lab
from cryptosense.workbench.experiments.capacity_conduct import conduct_capacity
from cryptosense.workbench.experiments.capacity_parameters import (
    MANY,
    ONE,
    ONE_TAG,
    OTHERS,
    PLANNED_DENIED,
    PLANNED_FULL,
    USER,
    CapacityParameters,
    shards_for,
)
from cryptosense.workbench.history import History

_CAPACITY = "CAPACITY"
"""What one user costs is this experiment's own question: no list of the plan asks it."""
_LOG_BYTES = 2_100  # a client at 100 of 100, in the project's goals
_COUNTER_BYTES = 160  # two numbers, or one, and the key that names the client


class Capacity:
    """Implements `experiment.Experiment`."""

    name: ClassVar[str] = "capacity"
    order: ClassVar[int] = 90
    parallel_safe: ClassVar[bool] = True
    doubt: ClassVar[Doubt] = Doubt(
        question="What does it cost at a million users, and at a billion?",
        method=(
            "A driver of the service's own state puts users into one server and into a Cluster of three primaries, "
            "ten times as many at each step, and the servers say what that took. Beyond the largest step the figures "
            "are reckoned, and say so."
        ),
        changes_our_mind=(
            "A cost for one user that bends with their number, a client of the limiter above 2,100 bytes or dearer "
            "after denials, or one shard that carries more than its share."
        ),
    )
    parameters: ClassVar[type[Any]] = CapacityParameters
    full: ClassVar[Mapping[str, Any]] = {
        "identities": (1_000, 10_000, 100_000, 1_000_000),
        "cluster_identities": (1_000, 10_000, 100_000),
        "denied": 1_000,
    }

    async def conduct(self, parameters: CapacityParameters, lab: Lab) -> None:
        await conduct_capacity(parameters, lab)

    def claims(self, parameters: CapacityParameters) -> Sequence[Claim]:
        return [*_claims(parameters), *_controls(parameters)]

    def charts(
        self, parameters: CapacityParameters, history: History, judgements: Sequence[Judgement]
    ) -> Sequence[Chart]:
        from cryptosense.workbench.experiments.capacity_charts import capacity_charts  # noqa: PLC0415 (heavy)

        del judgements
        return capacity_charts(parameters, history)


def _claims(given: CapacityParameters) -> Iterator[Claim]:
    for store, steps in ((ONE, given.identities), (MANY, given.cluster_identities)):
        if len(steps) < 2:
            continue
        for what in USER:
            yield Claim(
                f"level-{what}-{store}",
                f"On {store}, what {what} keeps for one user takes as many bytes at {steps[-1]:,} users as at "
                f"{steps[0]:,}.",
                ("RATE-4",) if what.startswith("limit") else (_CAPACITY,),
                stays_level("capacity.bytes", what=what, store=store, factor=1.1, unit="bytes"),
            )
        yield Claim(
            f"commands-{store}",
            f"On {store}, one user costs as many scripts at {steps[-1]:,} users as at {steps[0]:,}.",
            (_CAPACITY,),
            stays_level("capacity.commands", what="user", store=store, factor=1.1, unit="scripts"),
        )
    yield Claim(
        "limit-bytes",
        f"A client at its limit of 100 takes at most {_LOG_BYTES:,} bytes.",
        ("RATE-4",),
        within("capacity.bytes", what="limit-full", store=ONE, bound=_LOG_BYTES, unit="bytes"),
    )
    yield Claim(
        "denied-bytes",
        f"{given.denied} denied requests make that client no dearer.",
        ("RATE-4", "RATE-2"),
        no_dearer(
            "capacity.bytes",
            what="limit-denied",
            than=("limit-full", ONE),
            store=ONE,
            factor=1.02,
            unit="bytes",
        ),
    )
    for what in OTHERS:
        yield Claim(
            f"{what}-bytes",
            f"A client of {what}, its key included, takes at most {_COUNTER_BYTES} bytes.",
            ("RATE-4",),
            within("capacity.bytes", what=what, store=ONE, bound=_COUNTER_BYTES, unit="bytes"),
        )
    if given.cluster_identities:
        yield Claim(
            "shards-even",
            "No shard of the Cluster carries more than 1.15 times its share of the users' keys.",
            (_CAPACITY,),
            spread_evenly(what="user", store=MANY, factor=1.15),
        )
    yield Claim(
        "a-billion",
        f"{given.extrapolate_to:,} users fit a stated number of shards.",
        (_CAPACITY,),
        _reckoned(given),
        advisory="No machine like this one holds so many; the figure is reckoned from the largest step measured",
    )


def _controls(given: CapacityParameters) -> Iterator[Claim]:
    """The plan's limiter and an uneven key scheme, which the same checkers have to convict."""
    yield Claim(
        "plan-limit-bytes",
        f"The plan's limiter, as written, keeps at most {_LOG_BYTES:,} bytes for a client at its limit of 100.",
        ("RATE-4",),
        within("capacity.bytes", what=PLANNED_FULL, store=ONE, bound=_LOG_BYTES, unit="bytes"),
        control=True,
    )
    yield Claim(
        "plan-denied-bytes",
        f"{given.denied} denied requests make a client of the plan's limiter no dearer.",
        ("RATE-4", "RATE-2"),
        no_dearer(
            "capacity.bytes", what=PLANNED_DENIED, than=(PLANNED_FULL, ONE), store=ONE, factor=1.02, unit="bytes"
        ),
        control=True,
    )
    if given.cluster_identities:
        yield Claim(
            "one-tag-even",
            "Keys that share one hash tag spread evenly over the Cluster.",
            (_CAPACITY,),
            spread_evenly(what=ONE_TAG, store=MANY, factor=1.15),
            control=True,
        )


def _reckoned(given: CapacityParameters) -> Checker:
    def check(history: History) -> Finding:
        costs = by_identities(history, "capacity.bytes", what="user", store=ONE)
        if not costs:
            return undecided("no cost was measured")
        number, each = list(costs.items())[-1]
        shards = shards_for(given.extrapolate_to, each, given.shard_gb)
        return undecided(
            f"reckoned, not measured: {each:.0f} bytes a user at {number:,} users make "
            f"{each * given.extrapolate_to / 1e9:,.0f} GB and {shards:,} shards of {given.shard_gb:g} GB",
            expected="reckoned",
            unit="shards",
            samples=number,
        )

    return check


EXPERIMENT = Capacity()
