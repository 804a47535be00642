"""Hand-written histories for growth over time and for what an identity costs."""

import random
import re

from cryptosense.workbench.claims.costs import no_dearer, spread_evenly, stays_level, within
from cryptosense.workbench.claims.slopes import flat
from cryptosense.workbench.history import Event, History, Observation, Operation, Outcome
from cryptosense.workbench.verdicts import Verdict


def soaked(
    bytes_per_visitor: float,
    *,
    sweeps: int = 40,
    visitors_per_sweep: int = 50,
    noise: float = 20_000,
    filled_at: int = 1_000_000,
) -> History:
    """A process that keeps so much for each visitor until `filled_at` have come."""
    draw = random.Random(3)
    events: list[Event] = []
    for sweep in range(sweeps):
        for visitor in range(visitors_per_sweep):
            at = sweep + visitor / visitors_per_sweep
            number = sweep * visitors_per_sweep + visitor
            events.append(Operation(number, "visit", f"v{number}", "http://i", at, at, Outcome.OK, 200, "churn"))
        for process in ("a", "b"):
            kept = bytes_per_visitor / 2 * min(sweep * visitors_per_sweep, filled_at)
            value = 5e7 + kept + draw.uniform(-noise, noise)
            labels = {"process": process, "phase": "churn", "sweep": str(sweep)}
            events.append(Observation("process.rss", sweep + 0.99, value, labels))
    return History(started_at=0.0, events=tuple(events))


FLAT = flat("process.rss", visit="visit", phase="churn", margin=512, unit="bytes")


def test_a_level_series_under_the_margin_holds() -> None:
    finding = FLAT(soaked(0))
    assert finding.verdict is Verdict.HOLDS
    assert finding.interval is not None
    assert finding.interval[1] < 512


def test_a_series_that_holds_says_from_how_much_on_growth_would_have_been_seen() -> None:
    finding = FLAT(soaked(300))
    assert finding.verdict is Verdict.HOLDS
    found = re.search(r"more than (\d+\.?\d*) each would have convicted", finding.reason)
    assert found is not None
    seen_from = float(found[1])
    assert seen_from > 512
    assert FLAT(soaked(1.02 * seen_from)).verdict is Verdict.VIOLATED
    assert FLAT(soaked(0.98 * seen_from)).verdict is not Verdict.VIOLATED
    few = FLAT(soaked(0, sweeps=11))
    assert (few.verdict, "convict no growth" in few.reason) == (Verdict.HOLDS, True)


def test_a_leak_per_visitor_is_convicted_with_its_size() -> None:
    finding = FLAT(soaked(4096))
    assert finding.verdict is Verdict.VIOLATED
    assert isinstance(finding.observed, float)
    assert 3900 < finding.observed < 4300


def test_a_slope_that_is_not_significant_but_may_exceed_the_margin_is_undecided() -> None:
    assert FLAT(soaked(500, noise=400_000)).verdict is Verdict.UNDECIDED


def test_what_fills_up_at_first_is_neither_convicted_nor_acquitted() -> None:
    finding = FLAT(soaked(8192, filled_at=600))
    assert finding.interval is not None
    assert finding.interval[0] > 512
    assert finding.verdict is Verdict.UNDECIDED
    assert "at first" in finding.reason


def test_a_rise_that_is_too_short_for_two_halves_is_undecided() -> None:
    assert FLAT(soaked(4096, sweeps=11)).verdict is Verdict.UNDECIDED
    assert FLAT(soaked(4096, sweeps=12)).verdict is Verdict.VIOLATED


def test_readings_without_a_visitor_between_them_make_no_slope() -> None:
    unvisited = tuple(event for event in soaked(0).events if isinstance(event, Observation))
    assert FLAT(History(started_at=0.0, events=unvisited)).verdict is Verdict.UNDECIDED


def test_too_few_readings_make_no_slope() -> None:
    assert FLAT(soaked(0, sweeps=5)).verdict is Verdict.UNDECIDED
    assert FLAT(History(started_at=0.0, events=())).verdict is Verdict.UNDECIDED


def costs(name: str, figures: dict[tuple[str, str, int], float]) -> History:
    events = tuple(
        Observation(name, float(place), value, {"what": what, "store": store, "identities": str(number)})
        for place, ((what, store, number), value) in enumerate(figures.items())
    )
    return History(started_at=0.0, events=events)


def test_a_cost_that_bends_with_the_number_of_identities_is_convicted() -> None:
    check = stays_level("capacity.bytes", what="csrf", store="standalone", factor=1.5, unit="bytes")
    level = costs("capacity.bytes", {("csrf", "standalone", 10**power): 200 + power for power in (3, 4, 5)})
    bent = costs("capacity.bytes", {("csrf", "standalone", 10**power): 200 * power for power in (3, 4, 5)})
    assert check(level).verdict is Verdict.HOLDS
    assert check(bent).verdict is Verdict.VIOLATED
    assert check(costs("capacity.bytes", {("csrf", "standalone", 10): 1})).verdict is Verdict.UNDECIDED
    free = costs("capacity.bytes", {("csrf", "standalone", 10**power): 0 for power in (3, 4, 5)})
    assert check(free).verdict is Verdict.UNDECIDED


def test_rate_4_a_client_that_costs_more_than_declared_is_convicted() -> None:
    check = within("capacity.bytes", what="limit-log", store="standalone", bound=2_100, unit="bytes")
    assert check(costs("capacity.bytes", {("limit-log", "standalone", 100): 2_000})).verdict is Verdict.HOLDS
    assert check(costs("capacity.bytes", {("limit-log", "standalone", 100): 163_600})).verdict is Verdict.VIOLATED
    assert check(costs("capacity.bytes", {("limit-log", "standalone", 100): 0})).verdict is Verdict.UNDECIDED
    assert check(costs("capacity.bytes", {})).verdict is Verdict.UNDECIDED


def test_rate_4_denied_requests_must_not_make_a_client_dearer() -> None:
    check = no_dearer(
        "capacity.bytes",
        what="denied",
        than=("full", "standalone"),
        store="standalone",
        factor=1.05,
        unit="bytes",
    )
    same = costs("capacity.bytes", {("denied", "standalone", 100): 2_000, ("full", "standalone", 100): 2_000})
    more = costs("capacity.bytes", {("denied", "standalone", 100): 163_600, ("full", "standalone", 100): 5_192})
    free = costs("capacity.bytes", {("denied", "standalone", 100): 0, ("full", "standalone", 100): 2_000})
    assert check(same).verdict is Verdict.HOLDS
    assert check(more).verdict is Verdict.VIOLATED
    assert check(free).verdict is Verdict.UNDECIDED
    assert check(costs("capacity.bytes", {})).verdict is Verdict.UNDECIDED


def shares(*values: float) -> History:
    labels = {"what": "csrf", "store": "cluster", "identities": "1000"}
    events = tuple(
        Observation("capacity.shard_share", float(shard), value, {**labels, "shard": str(shard)})
        for shard, value in enumerate(values)
    )
    return History(started_at=0.0, events=events)


def test_one_shard_that_carries_everything_is_convicted() -> None:
    check = spread_evenly(what="csrf", store="cluster", factor=1.25)
    assert check(shares(0.33, 0.34, 0.33)).verdict is Verdict.HOLDS
    assert check(shares(1.0, 0.0, 0.0)).verdict is Verdict.VIOLATED
    assert check(shares(1.0)).verdict is Verdict.UNDECIDED  # one shard carries its fair share of everything
    assert check(shares(0.33, 0.34)).verdict is Verdict.UNDECIDED
    assert check(shares()).verdict is Verdict.UNDECIDED
