"""What counts as a change from run to run, and what is noise."""

from pathlib import Path

import pytest

from cryptosense.errors import WorkbenchError
from cryptosense.workbench.compare import Kind, compare, compare_runs
from cryptosense.workbench.results import RESULTS, ClaimResult, ExperimentResult, RunResults
from cryptosense.workbench.verdicts import Verdict


def claim(name: str = "p99", **changes: object) -> ClaimResult:
    told: dict[str, object] = {
        "id": name,
        "statement": "Hits are quick",
        "source": (),
        "expected": "at most 50",
        "observed": 10.0,
        "unit": "ms",
        "samples": 1000,
        "interval": (9.5, 10.5),
        "verdict": Verdict.HOLDS,
        "reason": "they are",
        "evidence": (),
        "control": False,
        "advisory": False,
    }
    return ClaimResult.model_validate(told | changes)


def run(run_id: str, *claims: ClaimResult, **changes: object) -> RunResults:
    experiment = ExperimentResult(
        name="cache_speedup",
        verdict=Verdict.HOLDS,
        seconds=1.0,
        parameters={"seed": 1},
        notebook="",
        report="",
        claims=claims,
    ).model_copy(update={name: value for name, value in changes.items() if name in ("parameters", "reason", "name")})
    return RunResults(
        run_id=run_id,
        started_at="2026-11-23T05:00:00+00:00",
        finished_at=None,
        profile="quick",
        verdict=Verdict.HOLDS,
        target={},
        environment={"cores": changes.get("cores", 2)},
        experiments=(experiment,),
    )


def kinds(before: RunResults, after: RunResults) -> list[Kind]:
    return [change.kind for change in compare(before, after).changes]


def test_two_runs_that_agree_show_nothing_changed():
    found = compare(run("a", claim()), run("b", claim(observed=10.2, interval=(9.7, 10.7))))
    assert found.changes == ()
    assert not found.regression
    assert "nothing changed beyond noise" in "\n".join(found.lines())


@pytest.mark.parametrize(
    ("before", "after", "kind", "regression"),
    [
        (Verdict.HOLDS, Verdict.VIOLATED, Kind.WORSE, True),
        (Verdict.UNDECIDED, Verdict.VIOLATED, Kind.WORSE, True),
        (Verdict.HOLDS, Verdict.UNDECIDED, Kind.UNSETTLED, False),
        (Verdict.UNDECIDED, Verdict.HOLDS, Kind.SETTLED, False),
        (Verdict.VIOLATED, Verdict.HOLDS, Kind.BETTER, False),
        (Verdict.VIOLATED, Verdict.UNDECIDED, Kind.UNSETTLED, False),
    ],
)
def test_a_turned_verdict_is_told(before: Verdict, after: Verdict, kind: Kind, regression: bool):
    found = compare(run("a", claim(verdict=before)), run("b", claim(verdict=after)))
    assert [change.kind for change in found.changes] == [kind]
    assert found.regression is regression


def test_a_control_that_is_no_longer_caught_is_a_regression():
    caught, missed = claim(control=True, verdict=Verdict.VIOLATED), claim(control=True, verdict=Verdict.HOLDS)
    found = compare(run("a", caught), run("b", missed))
    assert found.regression
    assert "a control" in found.changes[0].told


def test_a_claim_that_held_and_is_judged_no_more_is_a_regression():
    found = compare(run("a", claim(), claim("p50")), run("b", claim()))
    assert [(change.claim, change.kind) for change in found.changes] == [("p50", Kind.GONE)]
    assert found.regression


def test_a_new_claim_is_news_and_a_new_violation_a_regression():
    assert kinds(run("a"), run("b", claim())) == [Kind.NEW]
    assert kinds(run("a"), run("b", claim(verdict=Verdict.VIOLATED))) == [Kind.WORSE]


def test_a_figure_that_moved_for_certain_and_by_much_is_told_with_its_direction():
    slower = claim(observed=20.0, interval=(19.0, 21.0))
    assert kinds(run("a", claim()), run("b", slower)) == [Kind.FIGURE_WORSE]
    assert kinds(run("a", slower), run("b", claim())) == [Kind.FIGURE_BETTER]
    upward = {"expected": "at least 5", "unit": "times"}
    more = compare(run("a", claim(**upward)), run("b", claim(observed=20.0, interval=(19.0, 21.0), **upward)))
    assert [change.kind for change in more.changes] == [Kind.FIGURE_BETTER]
    assert "+100%" in more.changes[0].told


def test_a_figure_without_a_better_side_is_only_told():
    one = claim(expected=0.667)
    found = compare(run("a", one), run("b", claim(expected=0.667, observed=20.0, interval=(19.0, 21.0))))
    assert [change.kind for change in found.changes] == [Kind.FIGURE_CHANGED]
    assert not found.regression


def test_a_certain_but_small_difference_is_no_change():
    assert kinds(run("a", claim()), run("b", claim(observed=11.5, interval=(11.4, 11.6)))) == []


def test_a_large_but_uncertain_difference_is_no_change():
    assert kinds(run("a", claim(interval=(2.0, 30.0))), run("b", claim(observed=20.0, interval=(5.0, 60.0)))) == []


def test_one_of_many_figures_needs_stronger_evidence_than_one_alone():
    before = claim(interval=(8.2, 11.8))
    after = claim(observed=14.2, interval=(11.0, 17.4))
    alone = compare(run("a", before), run("b", after))
    assert [change.kind for change in alone.changes] == [Kind.FIGURE_WORSE]
    others = [claim(f"other-{place}") for place in range(30)]
    assert kinds(run("a", before, *others), run("b", after, *others)) == []


def test_figures_are_not_compared_across_parameters_units_or_broken_runs():
    slower = claim(observed=20.0, interval=(19.0, 21.0))
    changed = compare(run("a", claim()), run("b", slower, parameters={"seed": 2}))
    assert (changed.changes, changed.figures) == ((), 0)
    assert "other parameters" in changed.notes[0]
    broken = compare(run("a", claim()), run("b", slower, reason="interrupted"))
    assert broken.figures == 0
    assert "did not come to its end" in broken.notes[0]
    assert compare(run("a", claim()), run("b", slower.model_copy(update={"unit": "s"}))).figures == 0


def test_a_controls_figures_are_nobodys_progress():
    caught = claim(control=True, verdict=Verdict.VIOLATED)
    more = claim(control=True, verdict=Verdict.VIOLATED, observed=20.0, interval=(19.0, 21.0))
    assert kinds(run("a", caught), run("b", more)) == []


def test_figures_without_an_interval_are_not_judged():
    assert compare(run("a", claim(interval=None)), run("b", claim(observed=90, interval=None))).figures == 0


def test_what_only_one_run_has_and_where_machines_differ_is_noted():
    found = compare(run("a", claim()), run("b", claim(), name="load", cores=8))
    assert found.notes == (
        "cache_speedup was run in a only",
        "load was run in b only",
        "the cores differs: 2 and 8",
    )
    assert not found.regression


def test_regressions_are_listed_first():
    before = run("a", claim("better", verdict=Verdict.VIOLATED), claim("worse"))
    after = run("b", claim("better"), claim("worse", verdict=Verdict.VIOLATED))
    assert kinds(before, after) == [Kind.WORSE, Kind.BETTER]
    assert compare(before, after).lines()[-1] == "A regression."


def test_runs_are_compared_by_their_folders(tmp_path: Path):
    for name, told in (("a", claim()), ("b", claim(verdict=Verdict.VIOLATED))):
        (tmp_path / name).mkdir()
        run(name, told).write(tmp_path / name / RESULTS)
    assert compare_runs(tmp_path / "a", tmp_path / "b").regression
    with pytest.raises(WorkbenchError):
        compare_runs(tmp_path / "a", tmp_path)
