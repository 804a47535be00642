"""The experiment `capacity`: what it claims about costs, and that a real run of it comes out as it should."""

import pytest

from cryptosense.workbench.experiments.capacity import EXPERIMENT
from cryptosense.workbench.experiments.capacity_parameters import shards_for


def test_shards_are_reckoned_upwards_and_never_to_none():
    assert shards_for(1_000, 100, 1.0) == 1
    assert shards_for(1_000_000_000, 800, 25.0) == 32
    assert shards_for(1_000_000_000, 801, 25.0) == 33


def test_one_step_alone_shows_no_bend_and_is_refused():
    with pytest.raises(ValueError, match="two numbers"):
        EXPERIMENT.parameters(identities=(1_000,))
    with pytest.raises(ValueError, match="grow"):
        EXPERIMENT.parameters(identities=(1_000, 500))


def test_what_cannot_be_measured_here_is_advisory_and_says_why():
    advisory = [claim for claim in EXPERIMENT.claims(EXPERIMENT.parameters()) if claim.advisory]
    assert [claim.id for claim in advisory] == ["a-billion"]


@pytest.mark.end_to_end
async def test_costs_are_measured_through_the_state_and_the_plans_limiter_is_convicted(conducted):
    small = {"identities": (200, 1_000), "cluster_identities": (), "full_clients": 10, "denied": 50}
    judged = await conducted(EXPERIMENT, **small)
    assert judged.not_holding() == {}
    assert judged.violated() == {"plan-limit-bytes", "plan-denied-bytes"}
