"""Checkers of what one identity costs in the store, measured at growing numbers of identities.

The run records `capacity.bytes` and `capacity.commands` (both for one identity) and `capacity.shard_share` (a shard's
share of the identities), labelled with `what` is kept, the `store` kind and the number of `identities`.
"""

from cryptosense.workbench.claims.claim import Checker, Finding, undecided
from cryptosense.workbench.claims.reading import nothing_to_judge
from cryptosense.workbench.history import History
from cryptosense.workbench.verdicts import Verdict

_ROUNDING = 0.001

PHASE = "capacity"
"""What a run that measured nothing gives its reason under."""


def by_identities(history: History, name: str, *, what: str, store: str) -> dict[int, float]:
    """The figure at each number of identities, the last reading of each, from few to many."""
    readings = history.observations(name, what=what, store=store)
    return dict(sorted((int(reading.labels["identities"]), reading.value) for reading in readings))


def _free(what: str, *, expected: float) -> Finding:
    return undecided(
        f"{what} was read as costing nothing, so nothing was put in or nothing was read", expected=expected
    )


def stays_level(name: str, *, what: str, store: str, factor: float, unit: str) -> Checker:
    """Checks that the cost for one identity is no more than `factor` times as high at any number as at another.

    A server's hash table doubles at powers of two, so the bytes for one identity swing by a few whatever is kept.
    """

    def check(history: History) -> Finding:
        costs = by_identities(history, name, what=what, store=store)
        if len(costs) < 2:
            return nothing_to_judge(history, PHASE, f"{name} of {what} at two numbers of identities", expected=factor)
        lowest = min(costs.values())
        if lowest <= 0:
            return _free(what, expected=factor)
        ratio = max(costs.values()) / lowest
        series = ", ".join(f"{cost:.4g} at {number:,}" for number, cost in costs.items())
        return Finding(
            Verdict.HOLDS if ratio <= factor else Verdict.VIOLATED,
            f"at most {factor:g}",
            round(ratio, 3),
            "highest to lowest",
            sum(costs),
            f"{what}: {series} {unit} an identity",
        )

    return check


def within(name: str, *, what: str, store: str, bound: float, unit: str) -> Checker:
    """Checks that one identity costs at most `bound` at the largest number of identities measured."""

    def check(history: History) -> Finding:
        costs = by_identities(history, name, what=what, store=store)
        if not costs:
            return nothing_to_judge(history, PHASE, f"{name} of {what}", expected=bound)
        number, cost = list(costs.items())[-1]
        if cost <= 0:
            return _free(what, expected=bound)
        return Finding(
            Verdict.HOLDS if cost <= bound else Verdict.VIOLATED,
            f"at most {bound:g}",
            round(cost, 2),
            unit,
            number,
            f"{what}: {cost:.4g} {unit} an identity, measured with {number:,}",
        )

    return check


def no_dearer(name: str, *, what: str, than: tuple[str, str], store: str, factor: float, unit: str) -> Checker:
    """Checks that one identity costs at most `factor` times what `than` (what, store) costs, at the same number."""

    def check(history: History) -> Finding:
        other_what, other_store = than
        costs = by_identities(history, name, what=what, store=store)
        others = by_identities(history, name, what=other_what, store=other_store)
        shared = [number for number in costs if others.get(number, 0) > 0]
        if not shared:
            return nothing_to_judge(history, PHASE, f"{name} of {what} beside {other_what}", expected=factor)
        number = shared[-1]
        if costs[number] <= 0:
            return _free(what, expected=factor)
        ratio = costs[number] / others[number]
        return Finding(
            Verdict.HOLDS if ratio <= factor else Verdict.VIOLATED,
            f"at most {factor:g}",
            round(ratio, 3),
            "times",
            number,
            f"{what} on {store}: {costs[number]:.4g} {unit}; {other_what} on {other_store}: {others[number]:.4g}",
        )

    return check


def spread_evenly(*, what: str, store: str, factor: float) -> Checker:
    """Checks that no shard carries more than `factor` times its fair share of the identities."""

    def check(history: History) -> Finding:
        readings = history.observations("capacity.shard_share", what=what, store=store)
        if not readings:
            return nothing_to_judge(history, PHASE, f"share of the shards in {what}", expected=factor)
        number = max(int(reading.labels["identities"]) for reading in readings)
        shares = [reading.value for reading in readings if int(reading.labels["identities"]) == number]
        if len(shares) < 2 or abs(sum(shares) - 1) > _ROUNDING:
            return undecided(f"{len(shares)} shards tell of {sum(shares):.0%} of the identities", expected=factor)
        highest = max(shares) * len(shares)
        listed = ", ".join(f"{share:.1%}" for share in sorted(shares))
        return Finding(
            Verdict.HOLDS if highest <= factor else Verdict.VIOLATED,
            f"at most {factor:g}",
            round(highest, 3),
            "times the fair share",
            number,
            f"{len(shares)} shards carry {listed} of {number:,} identities",
        )

    return check
