"""The experiment `security`: what it claims, and that a real run of it comes out as it should."""

import pytest

from cryptosense.workbench.experiments.security import EXPERIMENT


@pytest.mark.end_to_end
async def test_no_attack_succeeds_against_the_reference(conducted):
    judged = await conducted(EXPERIMENT)
    assert judged.not_holding() == {}


@pytest.mark.end_to_end
async def test_a_service_that_believes_the_leftmost_address_is_convicted(conducted):
    judged = await conducted(EXPERIMENT, service="rate-6")
    assert {"spoofed-address", "victim-spared"} <= judged.violated()
    assert "the attack succeeded" in judged.charts[0].alt
