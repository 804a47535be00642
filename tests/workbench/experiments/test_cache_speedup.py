"""The experiment `cache_speedup`: what it claims about what caching buys, and that a real run comes out right."""

import re

import pytest

from cryptosense.workbench.experiments.cache_speedup import EXPERIMENT
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


def test_the_controls_of_the_plans_lists_are_cited():
    cited = {source for claim in EXPERIMENT.claims(EXPERIMENT.parameters()) for source in claim.source}
    wanted = {"improvement:response-time", "improvement:upstream-calls", "improvement:database-queries"}
    assert wanted | {"checklist:caching-3", "checklist:testing-3"} <= cited


@pytest.mark.end_to_end
async def test_a_cache_is_fast_and_truthful_on_real_processes(conducted):
    small = {"instances": 2, "cold_lists": 20, "warm_reads": 100, "tail": 60.0, "stampede": 10, "stampedes": 1}
    judged = await conducted(EXPERIMENT, **small, races=1, users=3, mixed_operations=60, lifetimes=2.4)
    assert judged.violated() == set()
    # Timings may be undecided on a busy machine; what is counted may not.
    timings = {"hit-faster-median", "hit-faster-tail", "hit-within-plan", "upstream-calls"}
    assert set(judged.not_holding()) <= timings
    assert {chart.name for chart in judged.charts} == {"latency", "origin_calls", "upstream_calls", "database_queries"}
