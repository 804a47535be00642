"""RATE-7: while Redis is away everything passes, and the headers say that nothing was used."""

from collections.abc import Sequence
from dataclasses import replace

from cryptosense.controls.control import Control
from cryptosense.http.parts import Parts
from cryptosense.services.policy import OnOutage, Policy


def _policies(parts: Parts) -> Sequence[Policy]:
    return [replace(policy, on_outage=OnOutage.ADMIT) for policy in Parts.policies.build(parts)]


CONTROL = Control("RATE-7", "The limiter fails open.", {"policies": _policies})
