"""RATE-5: the caller's clock decides, so an instance whose clock is off lets too many pass."""

from cryptosense.controls.control import Control
from cryptosense.controls.plan.windows import PlanWindows, windows_of

CONTROL = Control(
    "RATE-5",
    "Windows are cut by the clock of whichever instance is asked.",
    {"state": windows_of(PlanWindows)},
    one_server=True,
)
