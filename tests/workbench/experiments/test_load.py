"""The experiment `load`: what it claims about load, and that a real run of it comes out as it should."""

import pytest

from cryptosense.workbench.experiments.load import EXPERIMENT


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
