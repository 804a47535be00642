"""The experiment `failover`: what it claims about failures of Redis, and that a real run comes out right."""

import pytest

from cryptosense.workbench.experiments.failover import EXPERIMENT


def test_an_unknown_failure_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ValueError, match="sentinel-kill"):
        EXPERIMENT.parameters(scenarios=("meteorite",))


def test_each_chosen_failure_has_its_claims_and_no_other_has():
    claims = EXPERIMENT.claims(EXPERIMENT.parameters(scenarios=("freeze",)))
    assert {claim.id.partition("-")[0] for claim in claims} == {"freeze"}
    assert len(claims) == 9


@pytest.mark.end_to_end
async def test_a_killed_and_restarted_server_is_felt_as_honest_refusals_only(conducted):
    small = {"instances": 2, "sessions": 3, "before_s": 1.0, "limit": 12, "window_s": 2.0}
    judged = await conducted(EXPERIMENT, **small, scenarios=("kill-restart",))
    assert judged.violated() == set()
    timings = {
        "kill-restart-no-hang",
        "kill-restart-serves-again",
        "kill-restart-hands-back",
        "kill-restart-well-again",
    }
    assert set(judged.not_holding()) <= timings
    assert {chart.name for chart in judged.charts} == {"timeline_standalone-aof", "recovery", "lost_writes"}
    assert "server killed" in judged.charts[0].alt
