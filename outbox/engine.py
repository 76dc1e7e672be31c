"""SQLAlchemy's engine, for commands. It cannot read a URL of several hosts, so the driver connects by itself."""

import psycopg
import sqlalchemy as sa

from outbox.conninfo import conninfo_of


def engine_for(url: str) -> sa.Engine:
    """Make an engine that connects as everything here does. Errors do not show parameters."""
    conninfo = conninfo_of(url)
    return sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo, prepare_threshold=None),
        hide_parameters=True,
    )
