"""The experiment `rollback`: what it claims, and that a real run of it comes out as it should."""

import re

import pytest

from cryptosense.workbench.experiments.rollback import EXPERIMENT
from cryptosense.workbench.plan_lists import CHECKLIST, IMPROVEMENTS
from cryptosense.workbench.verdicts import Verdict

CONTRACT = re.compile(r"(CSRF|RATE|CACHE|CONN|STOP|DATA|AUTH|LOAD|STAGE)-\d")


def test_every_claim_has_an_id_of_its_own_and_a_source_that_exists():
    claims = EXPERIMENT.claims(EXPERIMENT.parameters())
    assert len({claim.id for claim in claims}) == len(claims)
    lists = {item.id for item in (*CHECKLIST, *IMPROVEMENTS)}
    for claim in claims:
        assert claim.source
        assert all(source in lists or CONTRACT.fullmatch(source) for source in claim.source), claim


def test_a_run_that_recorded_nothing_leaves_every_claim_undecided_and_draws_all_the_same(unrecorded):
    judged = unrecorded(EXPERIMENT)
    assert {item.finding.verdict for item in judged.judgements} == {Verdict.UNDECIDED}
    assert all(chart.alt for chart in judged.charts)


def test_the_full_profile_changes_only_parameters_that_there_are():
    EXPERIMENT.parameters(**EXPERIMENT.full)


@pytest.mark.end_to_end
async def test_the_walk_and_the_plans_rollback_come_out_as_they_should(conducted):
    judged = await conducted(EXPERIMENT, clients=2, hold_s=0.4)
    assert judged.not_holding() == {}
    assert judged.violated() == {"plan-tokens"}
    assert {chart.name for chart in judged.charts} == {"stage_gates", "rollback_debt", "flip_errors"}
