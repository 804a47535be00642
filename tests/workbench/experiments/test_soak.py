"""The experiment `soak`: what it claims about growth, and that a real run of it comes out as it should."""

import pytest

from cryptosense.workbench.experiments.soak import EXPERIMENT


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
