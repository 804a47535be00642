"""The experiment `soak`: what it claims about growth, and that a real run of it comes out as it should."""

import re

import pytest

from cryptosense.workbench.experiments.soak import EXPERIMENT
from cryptosense.workbench.plan_lists import CHECKLIST, IMPROVEMENTS
from cryptosense.workbench.verdicts import Verdict

CONTRACT = re.compile(r"(CSRF|RATE|CACHE|CONN|STOP|DATA|AUTH|LOAD|STAGE)-\d|SOAK")


@pytest.mark.parametrize("profile", [{}, EXPERIMENT.full], ids=["quick", "full"])
def test_every_claim_has_an_id_of_its_own_and_a_source_that_exists(profile):
    claims = EXPERIMENT.claims(EXPERIMENT.parameters(**profile))
    assert len({claim.id for claim in claims}) == len(claims)
    lists = {item.id for item in (*CHECKLIST, *IMPROVEMENTS)}
    for claim in claims:
        assert claim.source
        assert all(source in lists or CONTRACT.fullmatch(source) for source in claim.source), claim


def test_a_run_that_recorded_nothing_leaves_every_claim_undecided_and_draws_all_the_same(unrecorded):
    judged = unrecorded(EXPERIMENT)
    assert {item.finding.verdict for item in judged.judgements} == {Verdict.UNDECIDED}
    assert all(chart.alt for chart in judged.charts)


def test_the_leaking_service_is_a_control_and_can_be_left_out():
    with_it = EXPERIMENT.claims(EXPERIMENT.parameters())
    without = EXPERIMENT.claims(EXPERIMENT.parameters(with_control=False))
    assert [claim.id for claim in with_it if claim.control] == ["leak-is-seen"]
    assert not any(claim.control for claim in without)


@pytest.mark.end_to_end
async def test_a_leak_is_convicted_beside_a_service_that_keeps_nothing(conducted):
    judged = await conducted(EXPERIMENT, seconds=4.0, warm_visitors=800, at_once=4, read_every_s=0.2)
    assert judged.violated() == {"leak-is-seen"}
    # So short a run may not tell a caches' filling from a leak; what it may not do is convict.
    assert set(judged.not_holding()) <= {"process-memory", "store-memory", "descriptors", "tasks"}
