"""RATE-1: count first, add later."""

from cryptosense.controls.control import Control
from cryptosense.controls.plan.windows import CheckThenAdd, windows_of

CONTROL = Control(
    "RATE-1",
    "Requests are counted in one step and added in another.",
    {"state": windows_of(CheckThenAdd)},
    one_server=True,
)
