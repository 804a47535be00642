"""What holds of every experiment: what it claims, in both profiles, and that nothing recorded decides nothing."""

import re
from collections import Counter

import pytest

from cryptosense.workbench.experiments import AnyExperiment, catalog
from cryptosense.workbench.plan_lists import CHECKLIST, IMPROVEMENTS
from cryptosense.workbench.verdicts import Verdict

LISTED = {item.id for item in (*CHECKLIST, *IMPROVEMENTS)}
CONTRACT = re.compile(r"(CSRF|RATE|CACHE|CONN|STOP|DATA|AUTH|LOAD|STAGE)-\d|SOAK|CAPACITY|FIXED-WINDOW")


@pytest.fixture(params=catalog().values(), ids=catalog())
def experiment(request: pytest.FixtureRequest) -> AnyExperiment:
    return request.param


@pytest.fixture(params=["quick", "full"])
def profile(request: pytest.FixtureRequest, experiment: AnyExperiment) -> dict[str, object]:
    """Parameters of the experiment that differ from their defaults."""
    return dict(experiment.full) if request.param == "full" else {}


def test_every_claim_has_an_id_of_its_own_and_a_source_that_exists(experiment, profile):
    claims = experiment.claims(experiment.parameters(**profile))
    assert claims
    assert [name for name, times in Counter(claim.id for claim in claims).items() if times > 1] == []
    for claim in claims:
        assert claim.source, claim.id
        assert all(source in LISTED or CONTRACT.fullmatch(source) for source in claim.source), claim.id


def test_a_run_that_recorded_nothing_leaves_every_claim_undecided_and_draws_all_the_same(
    experiment, profile, unrecorded
):
    judged = unrecorded(experiment, **profile)
    assert {item.finding.verdict for item in judged.judgements} == {Verdict.UNDECIDED}
    assert judged.charts
    assert all(chart.alt for chart in judged.charts)
