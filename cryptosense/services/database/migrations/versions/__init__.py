"""Migrations, oldest first; run by `cryptosense.services.database.schema`."""
