"""AUTH-1: the bearer works after logout."""

from cryptosense.controls.control import Control
from cryptosense.controls.flawed.csrf_5 import signature_only

CONTROL = Control("AUTH-1", "A validly signed bearer is believed, ended or not.", {"sessions": signature_only})
