"""Alembic migrations of the tables, oldest first; `upgrade` brings a database to head."""

from outbox.schema.migrations.run import upgrade

__all__ = ["upgrade"]
