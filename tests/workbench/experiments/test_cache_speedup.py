"""The experiment `cache_speedup`: what it claims about what caching buys, and that a real run comes out right."""

import pytest

from cryptosense.workbench.experiments.cache_speedup import EXPERIMENT


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
