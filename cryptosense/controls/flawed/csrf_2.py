"""CSRF-2: GET then SET, so that one token serves many who come at once."""

from cryptosense.controls.control import Control
from cryptosense.controls.plan.csrf import PlanCsrf
from cryptosense.controls.plan.state import state_with

CONTROL = Control(
    "CSRF-2",
    "The token is compared and replaced in two steps.",
    {"state": state_with(csrf=lambda _state, server, prefix: PlanCsrf(server, prefix))},
    one_server=True,
)
