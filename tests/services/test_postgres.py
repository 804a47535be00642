"""The database on a real PostgreSQL: the same promises as on SQLite."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from cryptosense.clock import ManualClock
from cryptosense.errors import Conflict, DatabaseUnavailable, NotFound
from cryptosense.services.accounts import Accounts
from cryptosense.services.cache import Cache
from cryptosense.services.csrf import CsrfTokens
from cryptosense.services.database import Database
from cryptosense.services.database.models import Base, User
from cryptosense.services.passwords import Passwords
from cryptosense.services.portfolios import HoldingInput, Portfolios
from cryptosense.services.sessions import Sessions
from cryptosense.state.contracts import StateSet
from tests.services import postgres

LARGEST = "99999999999999999999.999999999999999999"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres.running() as url:
        yield url


@pytest.fixture
async def instances(url: str) -> AsyncIterator[list[Database]]:
    databases = [Database(url) for _ in range(4)]
    await asyncio.gather(*(database.migrate() for database in databases))
    yield databases
    async with databases[0].writing() as rows:
        await rows.execute(text("TRUNCATE users CASCADE"))
    for database in databases:
        await database.aclose()


async def test_accounts_and_portfolios_live_in_postgresql(
    instances: list[Database], passwords: Passwords, sessions: Sessions, state: StateSet, clock: ManualClock
) -> None:
    cache = Cache(state.cache, clock)
    accounts = [Accounts(database, passwords, sessions, CsrfTokens(state.csrf), clock) for database in instances]
    portfolios = [Portfolios(database, cache, clock) for database in instances]
    results = await asyncio.gather(
        *(each.register("ada@example.org", "correct horse") for each in accounts), return_exceptions=True
    )
    assert sum(isinstance(result, Conflict) for result in results) == 3
    ada = (await accounts[3].login("ada@example.org", "correct horse")).user
    made = await portfolios[0].create(
        ada, "Exact ☃", [HoldingInput("bitcoin", LARGEST), HoldingInput("solana", "1.10")]
    )
    listed = (await portfolios[1].all(ada)).value()["portfolios"]
    assert listed == [made]
    assert [holding["quantity"] for holding in listed[0]["holdings"]] == [LARGEST, "1.1"]
    changed = await portfolios[2].replace(ada, made["id"], "Less", [HoldingInput("bitcoin", "1e-18")])
    assert (await portfolios[0].one(ada, made["id"])).value() == {"portfolio": changed}
    await portfolios[3].delete(ada, made["id"])
    with pytest.raises(NotFound):
        await portfolios[0].delete(ada, made["id"])
    assert (await portfolios[1].all(ada)).value() == {"portfolios": []}
    await cache.aclose()


async def test_the_migrations_make_what_the_models_say(instances: list[Database]) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    async with instances[0].reading() as rows:
        assert await (await rows.connection()).run_sync(differences) == []


async def test_a_broken_constraint_is_not_an_outage(instances: list[Database]) -> None:
    async def add(number: int) -> None:
        async with instances[0].writing() as rows:
            rows.add(User(id=f"{number:032x}", email="u@example.org", password_digest="x", created_at_ms=0))

    await add(1)
    with pytest.raises(IntegrityError):
        await add(2)


@pytest.mark.full
async def test_a_frozen_server_is_an_outage_within_the_time_allowed(url: str) -> None:
    database = Database(url, timeout_s=0.5)
    assert await database.ping()
    async with database.reading() as rows:
        backend = await rows.scalar(text("SELECT pg_backend_pid()"))
    assert isinstance(backend, int)
    os.kill(backend, signal.SIGSTOP)
    try:
        assert not await database.ping()
    finally:
        os.kill(backend, signal.SIGCONT)
    assert await database.ping()
    await database.aclose()


@pytest.mark.full
async def test_connections_that_a_restart_cut_are_replaced_without_an_error() -> None:
    with postgres.running() as first:
        database = Database(first, timeout_s=2)
        assert await database.ping()
        other = Database(first, timeout_s=2)
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        async with other.reading() as rows:
            await rows.execute(text(f"SELECT pg_terminate_backend(pid) {others}"))
        assert await database.ping()
        await other.aclose()
    assert not await database.ping()
    with pytest.raises(DatabaseUnavailable):
        await database.migrate()
    await database.aclose()
