import numpy as np
import pandas as pd
import pytest

from cryptosense.workbench import measures
from cryptosense.workbench.history import History, Observation, Operation, Outcome, Span, SpanKind


def operation(number: int, at: float, *, kind: str = "csrf.post", took: float = 0.1, outcome: Outcome = Outcome.OK):
    return Operation(
        id=number,
        kind=kind,
        actor="tab",
        instance="http://a",
        invoked_at=at,
        completed_at=at + took,
        outcome=outcome,
        status=201 if outcome is Outcome.OK else None,
        sent={"token": "t1"},
        got={"successor": "t2"},
    )


def test_operations_become_one_row_each_with_latency_in_milliseconds():
    history = History(0.0, (operation(2, 2.0), operation(1, 1.0), Observation("rss", 1.5, 3.0)))
    table = measures.operations(history)
    assert table["id"].tolist() == [1, 2]
    assert table["latency_ms"].round(6).tolist() == [100.0, 100.0]
    assert "sent_token" not in table.columns


def test_latency_counts_from_the_intended_moment_of_an_open_loop():
    late = Operation(1, "tokens.read", "u", "http://a", 5.0, 5.1, Outcome.OK, intended_at=4.0)
    assert measures.operations(History(0.0, (late,)))["latency_ms"].iloc[0] == pytest.approx(1100)


def test_fields_of_operations_become_columns_on_request():
    table = measures.operations(History(0.0, (operation(1, 1.0),)), fields=True)
    assert table[["sent_token", "got_successor"]].iloc[0].tolist() == ["t1", "t2"]


def test_an_empty_history_gives_tables_with_their_columns():
    empty = History(0.0, ())
    assert "latency_ms" in measures.operations(empty).columns
    assert "value" in measures.observations(empty).columns
    assert "seconds" in measures.spans(empty).columns
    assert "unknown" in measures.timeline([]).columns


def test_observations_and_spans_carry_their_labels_as_columns():
    history = History(
        0.0,
        (
            Observation("rss", 2.0, 20.0, {"instance": "a"}),
            Observation("rss", 1.0, 10.0, {"instance": "a"}),
            Span(SpanKind.FAULT, "kill", 1.0, 3.5, {"target": "primary"}),
        ),
    )
    assert measures.observations(history, "rss")["value"].tolist() == [10.0, 20.0]
    fault = measures.spans(history, SpanKind.FAULT).iloc[0]
    assert (fault["seconds"], fault["label_target"]) == (2.5, "primary")


def test_a_timeline_counts_every_outcome_and_keeps_empty_stretches():
    found = [operation(1, 0.0), operation(2, 0.2, outcome=Outcome.FAILED), operation(3, 3.1, outcome=Outcome.UNKNOWN)]
    table = measures.timeline(found, bin_s=1.0)
    assert table["at"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert table[["ok", "failed", "unknown"]].sum().tolist() == [1, 1, 1]
    assert table["ok"].tolist() == [1, 0, 0, 0]
    assert set(table["group"]) == {"csrf"}


def test_nice_bins_are_round_and_few():
    assert measures.nice_bin(100) == 1.0
    assert measures.nice_bin(130) == 2.0
    assert measures.nice_bin(1.0) == 0.01


def test_a_window_is_open_at_its_old_end():
    counts = measures.trailing_counts([0.0, 1.0, 10.0], 10.0)
    assert counts["admitted"].tolist() == [1, 2, 2]


def test_the_busiest_window_straddles_the_border_of_fixed_windows():
    moments = [9.0 + place / 100 for place in range(50)] + [10.5 + place / 100 for place in range(50)]
    assert measures.busiest_window(moments, 10.0) == 100
    assert measures.busiest_window([], 10.0) == 0


def test_requests_that_may_have_fallen_into_two_windows_do_not_convict():
    invoked, completed = [0.0, 1.0, 9.5], [0.5, 2.0, 10.5]
    assert measures.surely_in_one_window(invoked, completed, 10.0) == [0, 1]
    assert measures.surely_in_one_window(invoked, completed, 11.0) == [0, 1, 2]
    assert measures.surely_in_one_window([], [], 1.0) == []


def test_the_exact_interval_of_a_share_matches_the_published_one():
    # Clopper and Pearson's own example: 10 of 100 has the 95 % interval 0.0490 to 0.1762.
    estimate = measures.proportion(10, 100)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (0.0490, 0.1762)
    assert measures.proportion(0, 30).low == 0.0
    assert measures.proportion(30, 30).high == 1.0


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_what_is_no_share_is_refused(successes: int, trials: int):
    with pytest.raises(ValueError, match="not a proportion"):
        measures.proportion(successes, trials)


def test_extreme_percentiles_want_ten_samples_beyond_them():
    assert measures.needed_samples(99.9) == 10_000
    assert measures.needed_samples(99) == 1_000
    assert measures.needed_samples(50) == 20
    assert measures.percentile(np.arange(9_999), 99.9, resamples=5) is None
    assert measures.percentile(np.arange(10_000), 99.9, resamples=5) is not None


def test_a_percentile_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(1)
    covered = 0
    for seed in range(60):
        estimate = measures.percentile(generator.exponential(1.0, 400), 50, resamples=150, seed=seed)
        assert estimate is not None
        covered += estimate.low <= np.log(2) <= estimate.high
    assert covered >= 50


def test_neighbours_that_agree_widen_the_interval():
    generator = np.random.default_rng(3)
    alone = generator.normal(size=600)
    together = np.repeat(generator.normal(size=60), 10)
    narrow, wide = (measures.bootstrap(sample, lambda part: float(part.mean())) for sample in (alone, together))
    assert wide.high - wide.low > 1.8 * (narrow.high - narrow.low)


def test_the_same_values_give_the_same_interval_again():
    values = np.random.default_rng(5).normal(size=200)
    assert measures.percentile(values, 50) == measures.percentile(values, 50)


def test_a_statistic_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one value"):
        measures.bootstrap([], lambda part: float(part.mean()))


def test_a_ratio_of_medians_has_an_interval_around_it():
    generator = np.random.default_rng(2)
    ratio = measures.percentile_ratio(generator.normal(300, 20, 200), generator.normal(10, 1, 200), 50)
    assert ratio is not None
    assert 25 < ratio.low < ratio.value < ratio.high < 35
    assert measures.percentile_ratio([1.0] * 30, [0.0] * 30, 50) is None


def test_a_leak_has_a_slope_above_zero_and_noise_has_not():
    generator = np.random.default_rng(4)
    seconds = np.arange(0, 120, 0.5)
    noise = 50 + generator.normal(0, 1, seconds.size)
    flat = measures.slope(seconds, noise)
    leak = measures.slope(seconds, noise + 0.1 * seconds)
    assert flat is not None
    assert leak is not None
    assert flat.low < 0 < flat.high
    assert leak.low > 0.05
    assert leak.at(0) == pytest.approx(50, abs=1)


def test_one_spike_is_no_slope():
    seconds = np.arange(0, 120, 0.25)
    values = np.full(seconds.size, 50.0)
    values[-1] = 5_000
    trend = measures.slope(seconds, values)
    assert trend is not None
    assert abs(trend.per_second) < 0.01


def test_too_few_readings_have_no_slope():
    assert measures.slope([1, 2, 3], [1, 2, 3]) is None
    assert measures.slope([1.0] * 20, range(20)) is None
    with pytest.raises(ValueError, match="2 times for 1 values"):
        measures.slope([1, 2], [1])


def test_holm_corrects_as_in_the_textbook():
    assert measures.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert measures.holm([]) == []
    assert max(measures.holm([0.9, 0.8])) <= 1.0


def test_figures_differ_when_their_intervals_are_apart_and_not_when_they_overlap_widely():
    before = measures.Estimate(10.0, 9.0, 11.0, 100)
    assert measures.p_value_of_difference(before, measures.Estimate(20.0, 19.0, 21.0, 100)) < 1e-6
    assert measures.p_value_of_difference(before, measures.Estimate(10.5, 9.5, 11.5, 100)) > 0.3
    assert measures.p_value_of_difference(before, before) == 1.0
    point = measures.Estimate(1.0, 1.0, 1.0, 5)
    assert measures.p_value_of_difference(point, measures.Estimate(2.0, 2.0, 2.0, 5)) == 0.0


def test_tables_are_pandas_frames_that_notebooks_can_group():
    table = measures.operations(History(0.0, (operation(1, 1.0), operation(2, 2.0, kind="limit.probe"))))
    assert isinstance(table, pd.DataFrame)
    assert table.groupby("kind")["latency_ms"].count().to_dict() == {"csrf.post": 1, "limit.probe": 1}
