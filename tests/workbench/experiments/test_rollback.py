"""The experiment `rollback`: what it claims, and that a real run of it comes out as it should."""

import pytest

from cryptosense.workbench.experiments.rollback import EXPERIMENT


@pytest.mark.end_to_end
async def test_the_walk_and_the_plans_rollback_come_out_as_they_should(conducted):
    judged = await conducted(EXPERIMENT, clients=2, hold_s=0.4)
    assert judged.not_holding() == {}
    assert judged.violated() == {"plan-tokens"}
    assert {chart.name for chart in judged.charts} == {"stage_gates", "rollback_debt", "flip_errors"}
