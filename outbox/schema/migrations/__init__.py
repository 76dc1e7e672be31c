"""Alembic migrations of the tables, oldest first; `upgrade` brings a database to head, or as far as a target says."""

from outbox.schema.migrations.run import upgrade
from outbox.schema.migrations.targets import contraction, expansion

__all__ = ["contraction", "expansion", "upgrade"]
