"""The bench's arithmetic: ratios, goals, regressions and bends, each shown to say yes and to say no."""

from dataclasses import replace

import pytest

from cryptosense.bench.charts import draw_growth, draw_standing
from cryptosense.bench.growth import BEND, bends
from cryptosense.bench.race import Contender, race, ratio
from cryptosense.bench.regression import load_baseline, regressions, unmeasured, write_baseline
from cryptosense.bench.report import as_document
from cryptosense.bench.rows import OURS, Better, Entry, Goal, Row, exact
from cryptosense.errors import UsageError


def row(figure, *, goal=0.5, better=Better.LOWER, low=None, high=None, unit="× floor"):
    measured = exact(figure)
    if low is not None:
        measured = type(measured)(figure, low, high, 9)
    return Row("row", "a row", unit, [Entry(OURS, measured), Entry("peer", exact(1.2))], Goal(goal, better))


async def test_every_contender_runs_in_every_round():
    seen = []

    def contender(name):
        async def call(number):
            seen.append((name, number))

        return Contender(name, call)

    laps = await race([contender("a"), contender("b")], tasks=3, calls=7, rounds=4)
    assert {name: len(found) for name, found in laps.items()} == {"a": 4, "b": 4}
    assert sorted(seen) == sorted((name, number) for name in "ab" for number in range(7) for _ in range(5))


def test_a_ratio_pairs_the_rounds_so_that_drift_cancels():
    drifting = [1.0, 2.0, 4.0, 8.0, 16.0]
    found = ratio([2 * lap for lap in drifting], drifting)
    assert found.low == found.median == found.high == 2.0
    assert found.rounds == 5


def test_an_interval_widens_with_the_noise():
    quiet = ratio([1.0, 1.01, 0.99, 1.0, 1.02] * 3, [1.0] * 15)
    noisy = ratio([0.5, 1.5, 0.7, 1.3, 1.0] * 3, [1.0] * 15)
    assert noisy.high - noisy.low > quiet.high - quiet.low


@pytest.mark.parametrize(
    ("figure", "better", "reached"),
    [(0.4, Better.LOWER, True), (0.6, Better.LOWER, False), (0.6, Better.HIGHER, True), (0.4, Better.HIGHER, False)],
)
def test_a_goal_is_reached_on_its_own_side(figure, better, reached):
    assert row(figure, better=better).reached is reached


def test_a_row_without_a_goal_reaches_nothing():
    assert Row("row", "a row", "bytes", [Entry(OURS, exact(1))]).reached is None


@pytest.mark.parametrize(
    ("now", "better", "worse"),
    [
        ((0.30, 0.28, 0.32), Better.LOWER, False),
        ((0.60, 0.55, 0.65), Better.LOWER, True),
        ((0.60, 0.30, 0.90), Better.LOWER, False),  # too noisy to tell
        ((0.90, 0.88, 0.92), Better.HIGHER, False),
        ((0.10, 0.09, 0.11), Better.HIGHER, True),
    ],
)
def test_a_regression_needs_an_effect_beyond_both_intervals(tmp_path, now, better, worse):
    before = row(0.30, better=better, low=0.28, high=0.32)
    write_baseline([before], tmp_path / "baseline.json")
    median, low, high = now
    found = regressions([row(median, better=better, low=low, high=high)], load_baseline(tmp_path / "baseline.json"))
    assert bool(found) is worse
    if worse:
        assert "row: was 0.3" in str(found[0])


@pytest.mark.parametrize(("unit", "held"), [("× floor", True), ("bytes", True), ("µs", False), ("ms", False)])
def test_a_time_of_one_machine_is_not_held_against_another(unit, held, tmp_path):
    write_baseline([row(0.3, unit=unit)], tmp_path / "baseline.json")
    assert bool(load_baseline(tmp_path / "baseline.json")) is held
    assert bool(regressions([row(3.0, unit=unit)], {"row": {"median": 0.3, "low": 0.3, "high": 0.3}})) is held


def test_a_row_of_the_baseline_that_was_not_measured_is_missed_where_its_group_was_asked_for(tmp_path):
    kept = [replace(row(0.3), group="limiter"), replace(row(0.3), id="other", group="web")]
    write_baseline(kept, tmp_path / "baseline.json")
    baseline = load_baseline(tmp_path / "baseline.json")
    assert unmeasured(kept, baseline, ["limiter", "web"]) == []
    assert unmeasured(kept[:1], baseline, ["limiter"]) == []
    assert unmeasured(kept[:1], baseline, ["limiter", "web"]) == ["other"]


def test_the_committed_baseline_holds_rows_of_every_group_that_ci_asks_for():
    assert {before["group"] for before in load_baseline().values()} == {"limiter", "csrf", "cache", "web"}


def test_a_missing_baseline_is_said_in_one_line(tmp_path):
    with pytest.raises(UsageError, match="--keep"):
        load_baseline(tmp_path / "none.json")


def point(value, median, *, axis="identities"):
    return {"axis": axis, "value": value, "ratio": median, "low": median * 0.95, "high": median * 1.05, "bytes": None}


def test_an_axis_bends_where_the_ratio_grows():
    level = [point(1_000, 0.3), point(10_000, 0.31), point(100_000, 0.3)]
    bent = [point(1, 0.3, axis="concurrency"), point(512, 0.9, axis="concurrency")]
    assert bends([*level, *bent]) == ["concurrency"]


def test_an_axis_that_gets_cheaper_does_not_bend():
    assert bends([point(1, 1.0), point(64, 0.3), point(512, 0.31)]) == []


def test_the_chart_and_the_document_carry_every_row():
    rows = [row(0.4), row(0.9, better=Better.HIGHER)]
    document = as_document(rows, [], seconds=1.0)
    assert [kept["reached"] for kept in document["rows"]] == [True, True]
    assert len(draw_standing(rows).axes[0].get_yticks()) == 2


def test_a_contender_looks_the_same_in_every_row_and_stands_once_in_the_legend():
    (axes,) = (drawn := draw_standing([row(0.4), row(0.9, better=Better.HIGHER)])).axes
    peers = [line for line in axes.lines if line.get_label() == "peer"]
    assert len(peers) == 2
    assert len({(line.get_marker(), line.get_color()) for line in peers}) == 1
    (legend,) = drawn.legends
    assert [text.get_text() for text in legend.get_texts()] == [OURS, "peer"]


def test_growth_is_drawn_axis_by_axis_with_the_line_above_which_it_bends():
    drawn = draw_growth([point(1, 0.3, axis="concurrency"), point(512, 0.3, axis="concurrency"), point(1_000, 0.3)])
    assert [panel.get_xlabel() for panel in drawn.axes] == ["concurrency", "identities"]
    (lowest,) = {point(1, 0.3)["high"]}
    assert any(line.get_ydata()[0] == pytest.approx(lowest * BEND) for line in drawn.axes[0].lines)
