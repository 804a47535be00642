"""A user's portfolios: exact quantities in the database, answers cached 60 s and dropped with every change.

A change is committed first and the cache invalidated after it. A reader whose fetch began before holds a lease that the
invalidation voids, so what it read is never stored. If the invalidation cannot reach the state, the answer to the
change stands, staleness is bounded by the lifetime of an entry, and the failure is logged, counted and made up for when
this process serves that user again.
"""

import logging
import re
import unicodedata
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from cachetools import LRUCache
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from cryptosense.clock import Clock
from cryptosense.errors import Conflict, InvalidInput, NotFound, RequestRefused, StateError
from cryptosense.services.cache import Cache, Cached, Freshness, Outcome
from cryptosense.services.database import Database
from cryptosense.services.database.models import DECIMALS, DIGITS, Holding, Portfolio
from cryptosense.services.market_data import normalise_id
from cryptosense.state.contracts import CacheKey, EntryKind

_log = logging.getLogger(__name__)

_ID = re.compile(r"[0-9a-f]{32}")
_DECIMAL = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?")
_LONGEST_NAME = 100
_MOST_PORTFOLIOS = 200
_MOST_HOLDINGS = 500
_EVERYTHING = ("all",)  # the tag of every answer about one user


@dataclass(frozen=True, slots=True)
class HoldingInput:
    """So much of a coin, as a client sends it: `quantity` as decimal text or a number."""

    coin: str
    quantity: str | int | float | Decimal


class Portfolios:
    """Portfolios by user; nobody sees or changes another's.

    Args:
        database: where they are kept.
        cache: shared by all instances.
        clock: for the times of creation and change.
        ttl_s: how long an answer is fresh.
    """

    def __init__(self, database: Database, cache: Cache, clock: Clock, *, ttl_s: float = 60.0) -> None:
        self._database = database
        self._cache = cache
        self._clock = clock
        self._freshness = Freshness(fresh_ms=round(ttl_s * 1000), fetch_timeout_ms=12_000)
        self._owed: LRUCache[str, None] = LRUCache(maxsize=10_000)  # users whose invalidation failed here
        self.invalidation_failures = 0

    async def all(self, user: str) -> Cached:
        """`{"portfolios": [...]}`, oldest first.

        Raises:
            DatabaseUnavailable: no answer.
        """

        async def fetch() -> object:
            chosen = select(Portfolio).where(Portfolio.user_id == user).order_by(Portfolio.created_at_ms, Portfolio.id)
            async with self._database.reading() as rows:
                found = await rows.scalars(chosen.options(selectinload(Portfolio.holdings)))
                return {"portfolios": [_described(portfolio) for portfolio in found]}

        return await self._cached(user, "list", fetch)

    async def one(self, user: str, portfolio: str) -> Cached:
        """`{"portfolio": {...}}`; kind NULL where the user has none of that id.

        Raises:
            DatabaseUnavailable: no answer.
        """
        if not _ID.fullmatch(portfolio):
            return Cached(Outcome.MISS, EntryKind.NULL, b"null", "identity")

        async def fetch() -> object:
            async with self._database.reading() as rows:
                found = await _own(rows, user, portfolio)
                return None if found is None else {"portfolio": _described(found)}

        return await self._cached(user, portfolio, fetch)

    async def create(self, user: str, name: str, holdings: Sequence[HoldingInput]) -> dict[str, Any]:
        """The new portfolio.

        Raises:
            InvalidInput: a name, coin or quantity that is not acceptable.
            Conflict: the user has as many as one may have.
            DatabaseUnavailable: no answer; it may have been made.
        """
        now_ms = self._now_ms()
        made = Portfolio(
            id=uuid.uuid4().hex,
            user_id=user,
            name=normalise_name(name),
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            holdings=_holdings(holdings),
        )
        async with self._changing(user) as rows:
            has = await rows.scalar(select(func.count()).select_from(Portfolio).where(Portfolio.user_id == user))
            if (has or 0) >= _MOST_PORTFOLIOS:
                raise Conflict(f"a user has at most {_MOST_PORTFOLIOS} portfolios")
            rows.add(made)
        return _described(made)

    async def replace(self, user: str, portfolio: str, name: str, holdings: Sequence[HoldingInput]) -> dict[str, Any]:
        """The portfolio with its new name and holdings.

        Raises:
            InvalidInput: a name, coin or quantity that is not acceptable.
            NotFound: the user has none of that id.
            DatabaseUnavailable: no answer; it may have been changed.
        """
        name, entries = normalise_name(name), _holdings(holdings)
        async with self._changing(user) as rows:
            found = await _own(rows, user, portfolio)
            if found is None:
                raise NotFound("there is no such portfolio")
            found.name = name
            found.updated_at_ms = max(self._now_ms(), found.updated_at_ms)
            found.holdings.clear()
            await rows.flush()  # the old places are free before the new holdings take them
            found.holdings.extend(entries)
        return _described(found)

    async def delete(self, user: str, portfolio: str) -> None:
        """Removes the portfolio and its holdings.

        Raises:
            NotFound: the user has none of that id.
            DatabaseUnavailable: no answer; it may be gone.
        """
        async with self._changing(user) as rows:
            found = await _own(rows, user, portfolio)
            if found is None:
                raise NotFound("there is no such portfolio")
            await rows.delete(found)

    async def _cached(self, user: str, name: str, fetch: Any) -> Cached:
        if user in self._owed:
            await self._invalidate(user)
        return await self._cache.cached(CacheKey(_space(user), name), fetch, self._freshness, tags=_EVERYTHING)

    @asynccontextmanager
    async def _changing(self, user: str) -> AsyncIterator[AsyncSession]:
        """A transaction, and the invalidation after it; also after one that may have been committed."""
        try:
            async with self._database.writing() as rows:
                yield rows
        except RequestRefused:
            raise  # nothing was changed
        except BaseException:
            await self._invalidate(user)
            raise
        await self._invalidate(user)

    async def _invalidate(self, user: str) -> None:
        try:
            await self._cache.invalidate_tags(_space(user), _EVERYTHING)
        except StateError as error:
            self.invalidation_failures += 1
            self._owed[user] = None
            _log.warning(
                "a user's cached portfolios were not invalidated; they may be stale for %g s: %s",
                self._freshness.fresh_ms / 1000,
                error,
                extra={"event": "invalidation_failed", "user": user},
            )
        else:
            self._owed.pop(user, None)

    def _now_ms(self) -> int:
        return round(self._clock.now() * 1000)


def normalise_name(name: str) -> str:
    """Composed (NFC), without surrounding blanks.

    Raises:
        InvalidInput: empty, longer than 100 characters, or with control characters.
    """
    if len(name) > 4 * _LONGEST_NAME:
        raise InvalidInput(f"a name has at most {_LONGEST_NAME} characters")
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= _LONGEST_NAME:
        raise InvalidInput(f"a name has 1 to {_LONGEST_NAME} characters")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise InvalidInput("a name holds no control characters")
    return name


def parse_quantity(quantity: object) -> Decimal:
    """An exact decimal, 0 or more, with at most 20 digits before the point and 18 after it.

    A float is taken for the shortest decimal that reads back as the same float: 0.1 is 0.1.

    Raises:
        InvalidInput: anything else.
    """
    refusal = InvalidInput(
        f"a quantity is a decimal of 0 or more, up to {DIGITS - DECIMALS} digits and {DECIMALS} decimals"
    )
    if isinstance(quantity, bool) or not isinstance(quantity, str | int | float | Decimal):
        raise refusal
    if isinstance(quantity, int) and abs(quantity) >= 10 ** (DIGITS - DECIMALS):
        raise refusal
    text = str(quantity)
    if not _DECIMAL.fullmatch(text):
        raise refusal
    exact = Decimal(text)
    _, digits, exponent = exact.as_tuple()
    if not isinstance(exponent, int) or exact.adjusted() >= DIGITS - DECIMALS:
        raise refusal
    trailing_zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    if exact and -(exponent + trailing_zeros) > DECIMALS:
        raise refusal
    return exact or Decimal(0)


def spell_quantity(quantity: Decimal) -> str:
    """One spelling per value: no exponent and no trailing zeros."""
    text = format(quantity, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _holdings(holdings: Sequence[HoldingInput]) -> list[Holding]:
    if len(holdings) > _MOST_HOLDINGS:
        raise InvalidInput(f"a portfolio has at most {_MOST_HOLDINGS} holdings")
    return [
        Holding(position=position, coin=normalise_id(holding.coin), quantity=parse_quantity(holding.quantity))
        for position, holding in enumerate(holdings)
    ]


async def _own(rows: AsyncSession, user: str, portfolio: str) -> Portfolio | None:
    if not _ID.fullmatch(portfolio):
        return None
    chosen = select(Portfolio).where(Portfolio.id == portfolio, Portfolio.user_id == user)
    found: Portfolio | None = await rows.scalar(chosen.options(selectinload(Portfolio.holdings)))
    return found


def _described(portfolio: Portfolio) -> dict[str, Any]:
    return {
        "id": portfolio.id,
        "name": portfolio.name,
        "holdings": [
            {"coin": holding.coin, "quantity": spell_quantity(holding.quantity)} for holding in portfolio.holdings
        ],
        "createdAt": _iso(portfolio.created_at_ms),
        "updatedAt": _iso(portfolio.updated_at_ms),
    }


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _space(user: str) -> str:
    return f"portfolios:{user}"
