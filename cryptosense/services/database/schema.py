"""Brings the tables up to date by the migrations beside this file."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0001"
"""The newest migration; tables that are there already are recognised without importing the migrations' machinery."""


def upgrade(connection: Connection) -> None:
    """Runs what is missing within the caller's transaction."""
    if _revision(connection) == HEAD:
        return
    from alembic import command  # noqa: PLC0415 (a third of a start's time, and needed once in a database's life)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
