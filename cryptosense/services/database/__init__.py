"""The database: users and their portfolios, on SQLite or PostgreSQL."""

from cryptosense.services.database.engine import Database

__all__ = ["Database"]
