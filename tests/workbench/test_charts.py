"""What every chart owes its readers: words, figures on the picture, text as text, the same letters each time."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pytest
from PIL import ImageColor

from cryptosense.workbench import charts, measures
from cryptosense.workbench.charts.style import COLOURS, figure_text, styled
from cryptosense.workbench.experiment import Chart
from cryptosense.workbench.history import Operation, Outcome, Span, SpanKind
from cryptosense.workbench.verdicts import Verdict

COUNTS = [1, 2, 3]


def lines() -> Chart:
    return charts.lines(
        "lines",
        "Before and after",
        [
            charts.Panel(
                "Refused posts",
                "instances",
                "share",
                [
                    charts.Series("memory", COUNTS, [0, 0.5, 0.667], [0, 0.4, 0.6], [0.1, 0.6, 0.7]),
                    charts.Series("theory", COUNTS, [0, 0.5, 0.667], kind="theory"),
                ],
                [charts.Threshold(0.1, "tolerated")],
                samples=270,
                whole_x=True,
            ),
            charts.Panel(
                "Cost", "users", "bytes", [charts.Series("state", [1e6, 1e9], [2e9, 2e12], kind="extrapolated")]
            ),
        ],
    )


def timeline() -> Chart:
    outcomes = [Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN, Outcome.OK]
    found = [Operation(i, "csrf.post", "a", "u", float(i), i + 0.1, outcome) for i, outcome in enumerate(outcomes)]
    fault = Span(SpanKind.FAULT, "kill", 1.0, 2.5, {"label": "SIGKILL of the primary"})
    return charts.outcome_timeline("timeline", "What users felt", measures.timeline(found, bin_s=1.0), [fault])


def latencies() -> Chart:
    return charts.latency_distribution(
        "latency", "Hit and miss", {"hit": [2.0, 3.0, 4.0], "miss": []}, thresholds=[charts.Threshold(50, "promised")]
    )


def windows() -> Chart:
    admitted = {"Redis": np.arange(100) / 100, "plan as written": np.arange(150) / 100, "none": np.array([])}
    return charts.window_admissions("windows", "Admissions", admitted, window_s=10, limit=100)


def matrix() -> Chart:
    cells = {("CSRF-2", "a"): charts.Cell(Verdict.VIOLATED, "2 of 20"), ("CSRF-2", "b"): Verdict.HOLDS}
    return charts.matrix("matrix", "Promises", ["CSRF-2"], ["a", "b", "c"], cells, samples=22)


def trends() -> Chart:
    seconds = np.arange(0.0, 60.0)
    leak = 50 + seconds * 0.1
    found = charts.Trend("leak", "MB", list(seconds), list(leak), measures.slope(seconds, leak), margin=0.01)
    return charts.trends("trends", "Memory", [found, charts.Trend("short", "MB", [0.0, 1.0], [5.0, 5.0], None)])


def bars() -> Chart:
    found = [charts.Bar("1 instance", "memory", 60), charts.Bar("1 instance", "Redis", 2, 1.5, 2.5)]
    return charts.bars(
        "bars", "Upstream", found, y_label="calls", thresholds=[charts.Threshold(2, "promised")], samples=62
    )


def waterfall() -> Chart:
    rows = [("killed", [("detect", 0.5), ("elect", 0.7)]), ("frozen", [("detect", 0.5), ("first write", 0.4)])]
    return charts.waterfall("waterfall", "Recovery", rows, budget_s=2.0)


ALL: list[Callable[[], Chart]] = [lines, timeline, latencies, windows, matrix, trends, bars, waterfall]


@pytest.mark.parametrize("draw", ALL)
def test_a_chart_is_well_formed_svg_whose_text_stays_text(draw: Callable[[], Chart]):
    chart = draw()
    svg = charts.as_svg(chart.figure)
    ET.fromstring(svg[svg.index("<svg") :])
    assert f">{chart.title}</text>" in svg


@pytest.mark.parametrize("draw", ALL)
def test_the_same_figures_give_the_same_letters(draw: Callable[[], Chart]):
    assert charts.as_svg(draw().figure) == charts.as_svg(draw().figure)


@pytest.mark.parametrize("draw", ALL)
def test_a_chart_draws_only_in_the_colours_that_the_page_can_swap(draw: Callable[[], Chart]):
    used = set(re.findall(r"#[0-9a-f]{6}", charts.as_svg(draw().figure)))
    assert used <= {*COLOURS.values(), "#000000"}


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lines, ["memory is 0 at 1 and 0.667 at 3", "tolerated is 0.1", "270 samples", "extrapolated state"]),
        (timeline, ["2 ok, 1 refused or failed, 1 without an answer", "SIGKILL of the primary from 1 s to 2.5 s"]),
        (latencies, ["hit: median 3 ms", "miss: no sample", "promised is 50 ms"]),
        (windows, ["Redis at most 100 of 100", "plan as written at most 150 of 150", "none at most 0 of 0"]),
        (matrix, ["1 rows by 3 columns", "violated: CSRF-2 / a (2 of 20)"]),
        (trends, ["leak: 6 MB/min", "short: too few readings"]),
        (bars, ["memory, 1 instance: 60", "promised is 2"]),
        (waterfall, ["killed took 1.2 s: 0.5 s to detect and 0.7 s to elect", "The budget is 2 s"]),
    ],
)
def test_the_words_beside_a_chart_tell_its_figures(draw: Callable[[], Chart], said: list[str]):
    for part in said:
        assert part in draw().alt


@pytest.mark.parametrize(
    ("draw", "written"),
    [
        (lines, ["tolerated: 0.1", "n = 270", "0.667"]),
        (timeline, ["SIGKILL of the primary (1.5 s)", "n = 4, not ok 2"]),
        (latencies, ["promised: 50 ms", "hit (n = 3)", "3 ms"]),
        (windows, ["limit 100", "most 150"]),
        (matrix, ["✗ 2 of 20", "n = 22"]),
        (trends, ["flat under 0.6", "n = 60"]),
        (bars, ["promised: 2", "n = 62", "60"]),
        (waterfall, ["budget 2 s (dashed)", "1.2 s"]),
    ],
)
def test_threshold_value_and_sample_size_stand_on_the_picture(draw: Callable[[], Chart], written: list[str]):
    svg = charts.as_svg(draw().figure)
    for part in written:
        assert part in svg


def test_outcomes_stay_apart_in_greyscale():
    def lightness(name: str) -> float:
        red, green, blue = ImageColor.getrgb(COLOURS[name])[:3]
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for one, other in [("ok", "failed"), ("unknown", "failed"), ("holds", "violated"), ("undecided", "violated")]:
        assert abs(lightness(one) - lightness(other)) > 70


def test_a_large_sample_makes_no_large_picture():
    generator = np.random.default_rng(1)
    many = charts.latency_distribution("latency", "Many", {"hit": generator.exponential(3, 200_000)})
    assert len(charts.as_svg(many.figure)) < 60_000
    admitted = {"Redis": np.sort(generator.uniform(0, 600, 50_000))}
    assert len(charts.as_svg(charts.window_admissions("w", "W", admitted, window_s=10, limit=9).figure)) < 120_000


def test_charts_of_nothing_are_drawn_and_say_so():
    empty = measures.timeline([])
    assert "No operation" in charts.outcome_timeline("t", "T", empty).alt
    assert "none" in charts.window_admissions("w", "W", {}, window_s=1, limit=1).alt
    assert "No series" in charts.trends("s", "S", []).alt
    for chart in (charts.outcome_timeline("t", "T", empty), charts.bars("b", "B", [], y_label="calls")):
        assert "<svg" in charts.as_svg(chart.figure)


def test_logarithmic_axes_have_plain_ticks_and_long_names_break_into_lines():
    found = [charts.Bar(f"what is kept for one identity {place}", "bytes", 10**place) for place in range(1, 7)]
    svg = charts.as_svg(charts.bars("b", "B", found, y_label="bytes", log_y=True).figure)
    assert "mathdefault" not in svg
    assert ">100k</text>" in svg
    assert ">what is kept for one identity 1</text>" not in svg


def test_figures_at_the_ends_of_close_lines_stand_on_either_side():
    close = [charts.Series("one", [1, 2], [1, 100]), charts.Series("other", [1, 2], [1, 99])]
    figure = charts.lines("l", "L", [charts.Panel("P", "x", "y", close)]).figure
    sides = {text.get_text(): text.get_verticalalignment() for text in figure.axes[0].texts}
    assert sides == {"100": "bottom", "99": "top"}


def extents(figure, axis):
    """Where the titles, the notes and the labels of a panel lie on the page, by their text."""
    with styled():
        figure.canvas.draw()
    # Matplotlib has three titles for an axis and a public name for the middle one alone.
    written = [*axis.texts, axis.title, axis._left_title, axis._right_title]
    return {text.get_text(): text.get_window_extent() for text in written if text.get_text()}


def overlapping(found):
    names = list(found)
    return [
        (one, other) for i, one in enumerate(names) for other in names[i + 1 :] if found[one].overlaps(found[other])
    ]


def test_no_faults_label_runs_into_another_or_out_of_the_picture():
    found = [Operation(i, "csrf.post", "a", "u", float(i), i + 0.1, Outcome.OK) for i in range(80)]
    names = [
        "server killed, restarted from its AOF",
        "server frozen",
        "scripts flushed",
        "replies slowed",
        "memory full",
    ]
    begun = [5.0, 12.0, 14.0, 60.0, 78.0]
    faults = [Span(SpanKind.FAULT, name, at, at + 1, {"label": name}) for name, at in zip(names, begun, strict=True)]
    figure = charts.outcome_timeline("t", "T", measures.timeline(found, bin_s=1.0), faults).figure
    placed = extents(figure, figure.axes[0])
    assert len(placed) == len(names) + 2
    assert overlapping(placed) == []
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in placed.values())


def test_a_panels_sample_size_does_not_run_into_its_title():
    panels = [
        charts.Panel(f"CSRF posts refused {place}", "n", "%", [charts.Series("a", [1, 2], [0, 80])], samples=6_000_000)
        for place in range(3)
    ]
    figure = charts.lines("l", "L", panels, columns=3).figure
    for axis in figure.axes:
        placed = extents(figure, axis)
        assert "n = 6,000,000" in placed
        assert overlapping({text: box for text, box in placed.items() if not text.isdigit()}) == []


def test_figures_are_written_as_people_write_them():
    written = [figure_text(value) for value in (0, 0.667, 3.25, 1234.5, 2_500_000, 3e9, 0.00002, -12, 2e12)]
    assert written == ["0", "0.667", "3.25", "1,234", "2.5M", "3bn", "2.0e-05", "-12", "2tn"]
