"""Portfolios: exact, a user's own, and cached without ever losing a change."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from cryptosense.clock import ManualClock
from cryptosense.errors import Conflict, DatabaseUnavailable, InvalidInput, NotFound, StateUnavailable
from cryptosense.services.cache import Cache, Outcome
from cryptosense.services.database import Database
from cryptosense.services.database.models import User
from cryptosense.services.portfolios import HoldingInput, Portfolios, normalise_name, parse_quantity, spell_quantity
from cryptosense.state.contracts import EntryKind
from tests.services.conftest import Wire

ADA, EVE = "a" * 32, "e" * 32
SOME = [HoldingInput("Bitcoin ", "0.5"), HoldingInput("ethereum", 3)]


@pytest.fixture
async def users(database: Database) -> None:
    async with database.writing() as rows:
        for name in (ADA, EVE):
            rows.add(User(id=name, email=f"{name}@example.org", password_digest="x", created_at_ms=0))


@pytest.fixture
async def build(
    database: Database, wire: Wire, clock: ManualClock, users: None
) -> AsyncIterator[Callable[[], Portfolios]]:
    caches: list[Cache] = []

    def build_one() -> Portfolios:
        caches.append(Cache(wire, clock))
        return Portfolios(database, caches[-1], clock)

    yield build_one
    for cache in caches:
        await cache.aclose()


@pytest.fixture
def portfolios(build: Callable[[], Portfolios]) -> Portfolios:
    return build()


@pytest.fixture
def elsewhere(build: Callable[[], Portfolios]) -> Portfolios:
    """The same service on another instance."""
    return build()


async def listed(portfolios: Portfolios, user: str = ADA) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await portfolios.all(user)).value()["portfolios"]
    return found


async def test_a_portfolio_is_made_changed_and_removed(portfolios: Portfolios, clock: ManualClock) -> None:
    made = await portfolios.create(ADA, " Savings ", SOME)
    assert made["name"] == "Savings"
    assert made["holdings"] == [{"coin": "bitcoin", "quantity": "0.5"}, {"coin": "ethereum", "quantity": "3"}]
    assert await listed(portfolios) == [made]
    clock.advance(1)
    changed = await portfolios.replace(ADA, made["id"], "Spendings", [HoldingInput("solana", "1e-3"), *SOME])
    assert changed["holdings"][0] == {"coin": "solana", "quantity": "0.001"}
    assert changed["createdAt"] == made["createdAt"] < changed["updatedAt"]
    assert (await portfolios.one(ADA, made["id"])).value() == {"portfolio": changed}
    assert await listed(portfolios) == [changed]
    await portfolios.replace(ADA, made["id"], "Empty", [])
    assert (await listed(portfolios))[0]["holdings"] == []
    await portfolios.delete(ADA, made["id"])
    assert await listed(portfolios) == []
    assert (await portfolios.one(ADA, made["id"])).kind is EntryKind.NULL


async def test_nobody_sees_or_changes_anothers_portfolio(portfolios: Portfolios) -> None:
    made = await portfolios.create(ADA, "Savings", SOME)
    assert await listed(portfolios, EVE) == []
    assert (await portfolios.one(ADA, made["id"])).kind is EntryKind.VALUE
    assert (await portfolios.one(EVE, made["id"])).kind is EntryKind.NULL
    with pytest.raises(NotFound):
        await portfolios.replace(EVE, made["id"], "Mine", [])
    with pytest.raises(NotFound):
        await portfolios.delete(EVE, made["id"])
    assert await listed(portfolios) == [made]


@pytest.mark.parametrize("identifier", ["", "*", "list", "../x", "A" * 32, "\x00" * 32, "0" * 31, "0" * 1_000_000])
async def test_what_is_no_id_is_not_found_and_asks_nobody(portfolios: Portfolios, wire: Wire, identifier: str) -> None:
    assert (await portfolios.one(ADA, identifier)).kind is EntryKind.NULL
    assert not wire.calls
    with pytest.raises(NotFound):
        await portfolios.delete(ADA, identifier)


async def test_reading_again_asks_the_database_nothing(portfolios: Portfolios, database: Database) -> None:
    await portfolios.create(ADA, "Savings", SOME)
    await portfolios.all(ADA)
    before = database.queries
    answers = [await portfolios.all(ADA) for _ in range(10)]
    assert database.queries == before
    assert {answer.outcome for answer in answers} == {Outcome.HIT}


async def test_cache_4_a_change_is_seen_at_once_on_every_instance(
    portfolios: Portfolios, elsewhere: Portfolios
) -> None:
    for number in range(5):
        await listed(portfolios)
        await listed(elsewhere)
        await portfolios.create(ADA, f"p{number}", [])
        assert len(await listed(elsewhere)) == len(await listed(portfolios)) == number + 1


async def test_cache_4_a_read_in_flight_while_the_change_commits_is_not_stored(
    portfolios: Portfolios, elsewhere: Portfolios, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, has_read = asyncio.Event(), asyncio.Event()
    reading = database.reading

    @asynccontextmanager
    async def slow() -> AsyncIterator[AsyncSession]:
        async with reading() as rows:
            yield rows
        has_read.set()
        await held.wait()  # the old rows are in hand, and not yet stored

    monkeypatch.setattr(database, "reading", slow)
    early = asyncio.create_task(portfolios.all(ADA))
    await has_read.wait()
    monkeypatch.setattr(database, "reading", reading)
    await elsewhere.create(ADA, "Savings", [])
    held.set()
    assert (await early).value() == {"portfolios": []}
    assert [portfolio["name"] for portfolio in await listed(portfolios)] == ["Savings"]
    assert [portfolio["name"] for portfolio in await listed(elsewhere)] == ["Savings"]


async def test_an_invalidation_that_fails_is_logged_counted_bounded_and_made_up_for(
    portfolios: Portfolios, elsewhere: Portfolios, wire: Wire, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    await listed(elsewhere)
    wire.down = StateUnavailable("down")
    with caplog.at_level(logging.WARNING):
        await portfolios.create(ADA, "Savings", [])  # the change itself stands
    wire.down = None
    assert portfolios.invalidation_failures == 1
    assert any(getattr(record, "event", "") == "invalidation_failed" for record in caplog.records)
    assert await listed(elsewhere) == []  # stale, for no longer than an entry lives
    assert len(await listed(portfolios)) == 1  # this instance knows what it owes
    assert len(await listed(elsewhere)) == 1


async def test_staleness_after_a_lost_invalidation_ends_with_the_entry(
    portfolios: Portfolios, elsewhere: Portfolios, wire: Wire, clock: ManualClock
) -> None:
    await listed(elsewhere)
    wire.down = StateUnavailable("down")
    await portfolios.create(ADA, "Savings", [])
    wire.down = None
    clock.advance(60 * 1.1 + 0.1)
    assert len(await listed(elsewhere)) == 1


async def test_a_change_whose_commit_is_in_doubt_invalidates_too(
    portfolios: Portfolios, elsewhere: Portfolios, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await listed(elsewhere)
    writing = database.writing

    @asynccontextmanager
    async def reply_lost() -> AsyncIterator[AsyncSession]:
        async with writing() as rows:
            yield rows
        raise DatabaseUnavailable("the reply was lost")

    monkeypatch.setattr(database, "writing", reply_lost)
    with pytest.raises(DatabaseUnavailable):
        await portfolios.create(ADA, "Savings", [])
    assert len(await listed(elsewhere)) == 1


async def test_a_database_outage_reaches_the_caller_and_is_not_remembered(
    portfolios: Portfolios, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down() -> None:
        raise DatabaseUnavailable("down")

    with monkeypatch.context() as broken:
        broken.setattr(database, "reading", down)
        with pytest.raises(DatabaseUnavailable):
            await portfolios.all(ADA)
    assert await listed(portfolios) == []


async def test_a_user_has_a_bounded_number_of_portfolios(
    portfolios: Portfolios, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryptosense.services.portfolios._MOST_PORTFOLIOS", 3)
    results = await asyncio.gather(
        *(portfolios.create(ADA, f"p{number}", []) for number in range(6)), return_exceptions=True
    )
    assert sum(isinstance(result, Conflict) for result in results) == 3
    with pytest.raises(InvalidInput):
        await portfolios.create(EVE, "Too much", [HoldingInput("bitcoin", 1)] * 501)


@given(st.decimals(min_value=0, max_value=10**20 - 1, places=18))
def test_quantities_come_back_exactly(quantity: Decimal) -> None:
    spelled = spell_quantity(parse_quantity(str(quantity)))
    assert Decimal(spelled) == quantity
    assert "e" not in spelled.lower()
    assert parse_quantity(spelled) == quantity


async def test_exact_decimals_survive_the_database(portfolios: Portfolios, elsewhere: Portfolios) -> None:
    sent = ["99999999999999999999.999999999999999999", "0.000000000000000001", "0.1", "100", "0", "1.10"]
    await portfolios.create(ADA, "Exact", [HoldingInput("bitcoin", text) for text in sent])
    got = [holding["quantity"] for holding in (await listed(elsewhere))[0]["holdings"]]
    assert got == ["99999999999999999999.999999999999999999", "0.000000000000000001", "0.1", "100", "0", "1.1"]


@pytest.mark.parametrize(
    ("sent", "kept"), [(0.1, "0.1"), (1e-7, "0.0000001"), (3, "3"), ("1E+3", "1000"), (1e19, "1" + "0" * 19)]
)
def test_numbers_are_taken_for_the_decimal_they_show(sent: str | float, kept: str) -> None:
    assert spell_quantity(parse_quantity(sent)) == kept


NO_TEXTS = ["", " ", "abc", "-1", "-0.1", "+1", "NaN", "Infinity", "1e99"]
ODD_TEXTS = ["1e-19", "0x10", "1_000", "1,5", "\u0661", "1\x00"]
TOO_LONG = ["1" * 21, "1" * 5000, "0.1234567890123456789"]
NO_NUMBERS = [float("nan"), float("inf"), -1, 10**20, 10**5000, -(10**5000), True, None, [], {"a": 1}]


@pytest.mark.parametrize("quantity", [*NO_TEXTS, *ODD_TEXTS, *TOO_LONG, *NO_NUMBERS], ids=lambda _: "")
def test_what_is_no_quantity_is_refused(quantity: object) -> None:
    with pytest.raises(InvalidInput):
        parse_quantity(quantity)


@given(st.text(max_size=500) | st.floats() | st.integers() | st.decimals(allow_nan=True))
def test_any_input_is_a_quantity_or_refused(quantity: object) -> None:
    try:
        parsed = parse_quantity(quantity)
    except InvalidInput:
        return
    assert 0 <= parsed < 10**20
    assert parse_quantity(spell_quantity(parsed)) == parsed


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x00b", "a\nb", "\ud800", "x" * 1_000_000])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        normalise_name(name)


async def test_names_may_hold_anything_that_can_be_read(portfolios: Portfolios) -> None:
    names = ["*", "a?[b]", "'; DROP TABLE users; --", "Ω ☃ 日本", "{x}:y"]
    for name in names:
        await portfolios.create(ADA, name, [])
    assert sorted(portfolio["name"] for portfolio in await listed(portfolios)) == sorted(names)
