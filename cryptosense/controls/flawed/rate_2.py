"""RATE-2: a denied request counts, so a steady overload admits nobody after the first window."""

from cryptosense.controls.control import Control
from cryptosense.controls.plan.windows import PlanWindows, windows_of

CONTROL = Control(
    "RATE-2", "A denied request is added like an admitted one.", {"state": windows_of(PlanWindows)}, one_server=True
)
