import pytest

from cryptosense.errors import UsageError
from cryptosense.workbench.experiments import AnyExperiment
from cryptosense.workbench.run.parameters import choose, describe, read_assignments


def test_defaults_are_the_quick_profile_and_the_full_profile_changes_some(tiny: AnyExperiment):
    assert choose(tiny, {}).steps == 5
    assert choose(tiny, {}, "full").steps == 7
    assert choose(tiny, {"steps": 9}, "full").steps == 9


def test_an_unknown_parameter_is_refused_naming_the_valid_ones(tiny: AnyExperiment):
    with pytest.raises(UsageError, match="tiny has no parameter 'stepz'; it has seed, steps, pause_s"):
        choose(tiny, {"stepz": 1})


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("tiny.steps=many", "tiny.steps is int, 'many' does not fit"),
        ("tiny.steps=2.5", "tiny.steps is int, 2.5 does not fit"),
        ("tiny.steps=true", "tiny.steps is int, True does not fit"),
        ("tiny.steps=0", "tiny.steps is int, 0 does not fit"),
        ("tiny.child=1", "tiny.child is bool, 1 does not fit"),
        ("tiny.ending=soon", "'well', 'raise', 'could-not-start' or 'kill-kernel'"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_naming_the_right_one(tiny: AnyExperiment, assignment: str, message: str):
    with pytest.raises(UsageError) as refusal:
        choose(tiny, read_assignments([assignment], [tiny])["tiny"])
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("tiny.steps=9", "steps", 9),
        ("tiny.pause_s=1", "pause_s", 1.0),
        ("tiny.child=true", "child", True),
        ('tiny.kinds=["a", "b"]', "kinds", ("a", "b")),
        ("tiny.ending=raise", "ending", "raise"),
    ],
)
def test_values_are_json_or_plain_text(tiny: AnyExperiment, assignment: str, name: str, value: object):
    assert getattr(choose(tiny, read_assignments([assignment], [tiny])["tiny"]), name) == value


@pytest.mark.parametrize("assignment", ["tiny", "steps=3", "tiny.=3", "=", "tiny.steps"])
def test_a_malformed_assignment_is_refused_with_an_example(tiny: AnyExperiment, assignment: str):
    with pytest.raises(UsageError, match=r"expected EXPERIMENT\.NAME=VALUE"):
        read_assignments([assignment], [tiny])


def test_a_parameter_of_an_experiment_that_will_not_run_is_refused(tiny: AnyExperiment):
    with pytest.raises(UsageError, match="'soak' is not among the experiments to run: tiny"):
        read_assignments(["soak.seed=3"], [tiny])


def test_every_parameter_describes_itself(tiny: AnyExperiment):
    rows = {name: (kind, default, text) for name, kind, default, text in describe(tiny)}
    assert rows["steps"] == ("int", 5, "how many operations are recorded")
    assert all(text for _, _, text in rows.values())
