"""RATE-4: denied requests pile up, and the memory of a client has no bound."""

from cryptosense.controls.control import Control
from cryptosense.controls.plan.windows import PlanWindows, windows_of

CONTROL = Control(
    "RATE-4", "Every denied request leaves an entry.", {"state": windows_of(PlanWindows)}, one_server=True
)
