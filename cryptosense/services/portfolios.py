"""A user's portfolios."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from cryptosense.clock import Clock
from cryptosense.services.cache import Cache, Cached
from cryptosense.services.database import Database


@dataclass(frozen=True, slots=True)
class HoldingInput:
    coin: str
    quantity: str | int | float | Decimal


class Portfolios:
    invalidation_failures: int

    def __init__(self, database: Database, cache: Cache, clock: Clock, *, ttl_s: float = 60.0) -> None: ...
    async def all(self, user: str) -> Cached: ...  # {"portfolios": [...]}
    async def one(self, user: str, portfolio: str) -> Cached: ...  # {"portfolio": {...}}; kind NULL: 404
    async def create(self, user: str, name: str, holdings: Sequence[HoldingInput]) -> dict[str, object]: ...
    async def replace(
        self, user: str, portfolio: str, name: str, holdings: Sequence[HoldingInput]
    ) -> dict[str, object]: ...
    async def delete(self, user: str, portfolio: str) -> None: ...  # NotFound
