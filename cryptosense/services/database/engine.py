"""One engine per process, on SQLite or PostgreSQL; queries are counted and driver errors translated here."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

import asyncpg
from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.exc import ArgumentError, IntegrityError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from cryptosense.errors import ConfigurationError, DatabaseUnavailable
from cryptosense.services.database.schema import upgrade

_MIGRATION_LOCK = 0x63727970746F  # an advisory lock of this program's own
_WRITES = "cryptosense_writes"


class Database:
    """Sessions for reading and for writing.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`; the asynchronous driver is filled in.
        timeout_s: for a connection, for a lock, for one statement.

    Raises:
        ConfigurationError: a URL that names neither.
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        address = _address(url)
        self._timeout_s = timeout_s
        self.is_sqlite = address.get_backend_name() == "sqlite"
        self.queries = 0
        arguments: dict[str, Any] = (
            {"timeout": timeout_s} if self.is_sqlite else {"timeout": timeout_s, "command_timeout": timeout_s}
        )
        self._engine = create_async_engine(
            address,
            connect_args=arguments,
            pool_size=5,
            max_overflow=5,
            pool_timeout=timeout_s,
            pool_pre_ping=not self.is_sqlite,
        )
        event.listen(self._engine.sync_engine, "before_cursor_execute", self._count)
        if self.is_sqlite:
            event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)
        self._reads = async_sessionmaker(self._engine, expire_on_commit=False)
        self._writes = async_sessionmaker(
            self._engine.execution_options(**{_WRITES: True}), expire_on_commit=False, autoflush=False
        )

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A transaction that sees one state of the database.

        Raises:
            DatabaseUnavailable: no answer.
        """
        with _translated():
            async with self._reads() as session, session.begin():
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """A transaction that is committed when the block ends, and rolled back when it raises.

        On SQLite it takes the write lock at once: one that began by reading could not wait for it.

        Raises:
            DatabaseUnavailable: no answer; the transaction may have been committed.
            sqlalchemy.exc.IntegrityError: a constraint.
        """
        with _translated():
            async with self._writes() as session, session.begin():
                yield session

    async def migrate(self) -> None:
        """Brings the tables up to date; several instances may do so at once, one of them does the work.

        Raises:
            DatabaseUnavailable: no answer.
        """
        if self.is_sqlite:
            with _translated():
                await asyncio.to_thread(_turn_on_wal, str(self._engine.url.database), self._timeout_s)
        before = self.queries
        async with self.writing() as session:
            if not self.is_sqlite:
                await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection = await session.connection()
            await connection.run_sync(upgrade)
        self.queries = before

    async def ping(self) -> bool:
        """Whether the database answers now; never raises."""
        try:
            async with self.reading() as session:
                await session.execute(text("SELECT 1"))
        except DatabaseUnavailable:
            return False
        return True

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._engine.dispose()

    def _count(self, _connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            self.queries += 1


@contextmanager
def _translated() -> Iterator[None]:
    """Driver errors that mean "no answer" become `DatabaseUnavailable`; a broken constraint stays what it is."""
    try:
        yield
    except IntegrityError:
        raise
    except (OperationalError, InterfaceError, InternalError, PoolTimeoutError) as error:
        raise DatabaseUnavailable(f"the database did not answer: {type(error).__name__}") from error
    except (OSError, TimeoutError, sqlite3.OperationalError) as error:
        raise DatabaseUnavailable(f"the database cannot be reached: {type(error).__name__}") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(f"the database cannot be reached: {type(error).__name__}") from error


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:
        raise ConfigurationError("DATABASE_URL is no URL") from None
    backend = {"postgres": "postgresql"}.get(address.drivername.partition("+")[0], address.get_backend_name())
    if backend == "sqlite":
        if not address.database or address.database == ":memory:":
            raise ConfigurationError("DATABASE_URL needs a file, as in sqlite:///cryptosense.db")
        return address.set(drivername="sqlite+aiosqlite")
    if backend == "postgresql":
        return address.set(drivername="postgresql+asyncpg")
    raise ConfigurationError(f"DATABASE_URL names {backend!r}; sqlite and postgresql are known")


def _turn_on_wal(path: str, timeout_s: float) -> None:
    """Write-ahead logging is a property of the file; SQLite does not always wait for the lock that the switch needs."""
    gives_up = time.monotonic() + timeout_s
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=timeout_s)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= gives_up:
                raise
            time.sleep(0.05)
        else:
            return


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
