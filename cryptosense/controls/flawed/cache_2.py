"""CACHE-2: everyone who misses fetches."""

from cryptosense.controls.control import Control
from cryptosense.controls.plan.cache import PlanCache, built_as

CONTROL = Control(
    "CACHE-2", "Concurrent cold reads all go to the upstream.", {"cache": lambda parts: built_as(PlanCache, parts)}
)
