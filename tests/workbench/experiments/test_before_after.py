"""The experiment `before_after`: what it claims, and that a real run of it comes out as it should."""

import pytest

from cryptosense.workbench.experiments.before_after import EXPERIMENT


@pytest.mark.end_to_end
async def test_memories_fail_as_foretold_and_shared_state_does_not(conducted):
    judged = await conducted(EXPERIMENT, instances=2, sessions=2, posts=10, limit=5, lists=1)
    assert judged.not_holding() == {}
    controls = {item.claim.id for item in judged.judgements if item.claim.control}
    assert judged.violated() == controls == {"memory-2-csrf", "memory-2-limit", "memory-2-fetches", "memory-2-hits"}
    rate = next(item.finding for item in judged.judgements if item.claim.id == "memory-2-rate")
    assert rate.observed == 50.0
    assert "50 % at 2" in judged.charts[0].alt
