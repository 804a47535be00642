"""The database on SQLite: several instances on one file, and what its outages look like."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError

from cryptosense.errors import ConfigurationError, DatabaseUnavailable
from cryptosense.services.database import Database, schema
from cryptosense.services.database.models import Base, User


def user(number: int) -> User:
    return User(id=f"{number:032x}", email=f"u{number}@example.org", password_digest="x", created_at_ms=0)


async def test_several_instances_that_start_at_once_make_the_tables_once(tmp_path: Path) -> None:
    instances = [Database(f"sqlite:///{tmp_path / 'one.db'}") for _ in range(5)]
    await asyncio.gather(*(instance.migrate() for instance in instances))
    async with instances[0].writing() as rows:
        rows.add(user(1))
    async with instances[4].reading() as rows:
        assert await rows.scalar(select(User.email)) == "u1@example.org"
    await asyncio.gather(*(instance.migrate() for instance in instances))
    for instance in instances:
        await instance.aclose()


async def test_the_migrations_make_what_the_models_say(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    async with database.reading() as rows:
        assert await (await rows.connection()).run_sync(differences) == []


async def test_writers_of_several_instances_wait_for_each_other(tmp_path: Path) -> None:
    instances = [Database(f"sqlite:///{tmp_path / 'one.db'}") for _ in range(3)]
    await instances[0].migrate()

    async def write(instance: Database, number: int) -> None:
        async with instance.writing() as rows:
            await rows.scalar(select(User).where(User.email == "u1@example.org"))  # reads before it writes
            rows.add(user(number))

    await asyncio.gather(*(write(instances[number % 3], number) for number in range(60)))
    async with instances[0].reading() as rows:
        assert len((await rows.scalars(select(User.id))).all()) == 60
    for instance in instances:
        await instance.aclose()


async def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'one.db'}", timeout_s=0.3)
    await database.migrate()
    async with database.writing() as rows:
        rows.add(user(1))
        await rows.flush()
        async with database.reading() as other:
            assert (await other.scalars(select(User.id))).all() == []
    await database.aclose()


async def test_a_writer_does_not_wait_for_readers(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'one.db'}", timeout_s=0.3)
    await database.migrate()
    async with database.reading() as reader:
        assert (await reader.scalars(select(User.id))).all() == []
        async with database.writing() as rows:
            rows.add(user(1))
        assert (await reader.scalars(select(User.id))).all() == []  # one state of the database
    await database.aclose()


async def test_a_block_that_raises_changes_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.writing() as rows:
            rows.add(user(1))
            await rows.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.reading() as rows:
        assert (await rows.scalars(select(User.id))).all() == []


async def test_a_broken_constraint_is_not_an_outage(database: Database) -> None:
    async with database.writing() as rows:
        rows.add(user(1))
    with pytest.raises(IntegrityError):
        async with database.writing() as rows:
            rows.add(User(id="2" * 32, email="u1@example.org", password_digest="x", created_at_ms=0))


async def test_queries_are_counted_and_transactions_are_not(database: Database) -> None:
    before = database.queries
    async with database.reading() as rows:
        await rows.execute(text("SELECT 1"))
        await rows.execute(text("SELECT 2"))
    async with database.writing() as rows:
        rows.add(user(1))
    assert database.queries - before == 3


async def test_a_lock_that_is_never_given_back_is_an_outage(tmp_path: Path) -> None:
    path = tmp_path / "one.db"
    database = Database(f"sqlite:///{path}", timeout_s=0.1)
    await database.migrate()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable):
        async with database.writing() as rows:
            rows.add(user(1))
    assert await database.ping()  # reading goes on
    holder.close()
    await database.aclose()


async def test_a_database_that_cannot_be_opened_is_an_outage(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'no such folder' / 'one.db'}", timeout_s=0.1)
    assert not await database.ping()
    with pytest.raises(DatabaseUnavailable):
        await database.migrate()
    await database.aclose()


async def test_a_server_that_refuses_connections_is_an_outage(unused_tcp_port: int) -> None:
    database = Database(f"postgresql://nobody:secret@127.0.0.1:{unused_tcp_port}/none", timeout_s=1)
    with pytest.raises(DatabaseUnavailable) as refused:
        async with database.reading() as rows:
            await rows.execute(text("SELECT 1"))
    assert "secret" not in str(refused.value)
    assert not await database.ping()
    await database.aclose()


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://localhost/x", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_names_no_known_database_is_one_clear_line(url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        Database(url)


@pytest.mark.parametrize("url", ["postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+psycopg2://u:p@h/d"])
async def test_postgresql_goes_through_asyncpg_however_it_is_spelled(url: str) -> None:
    database = Database(url)
    assert database._engine.url.drivername == "postgresql+asyncpg"
    await database.aclose()


def test_the_head_that_starts_look_for_is_the_newest_migration():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD
