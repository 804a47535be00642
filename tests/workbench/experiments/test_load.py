"""The experiment `load`: what it claims about load, and that a real run of it comes out as it should."""

import re

import pytest

from cryptosense.workbench.experiments.load import EXPERIMENT
from cryptosense.workbench.plan_lists import CHECKLIST, IMPROVEMENTS
from cryptosense.workbench.verdicts import Verdict

CONTRACT = re.compile(r"(CSRF|RATE|CACHE|CONN|STOP|DATA|AUTH|LOAD|STAGE)-\d")


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


def test_a_sweep_of_one_step_is_refused():
    with pytest.raises(ValueError, match="two positive steps"):
        EXPERIMENT.parameters(concurrency=(8,))


@pytest.mark.end_to_end
async def test_the_limiter_is_exact_under_load_on_real_processes(conducted):
    small = {"instances": 2, "users": 20, "closed_s": 0.6, "open_s": 0.6, "window_s": 1.0, "limit": 40}
    judged = await conducted(EXPERIMENT, **small, concurrency=(1, 8), rates=(0.3, 0.5))
    assert judged.violated() == set()
    assert set(judged.not_holding()) <= {"throughput-holds", "keeps-up", "median-within-plan"}
    assert {chart.name for chart in judged.charts} == {"throughput_and_latency", "admissions"}
