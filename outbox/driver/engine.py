"""SQLAlchemy's engine, for commands. It cannot read a URL of several hosts, so the driver connects by itself."""

import sqlalchemy as sa

from outbox.driver.conninfo import connect_now


def engine_for(url: str) -> sa.Engine:
    """Make an engine that connects as everything here does. Errors do not show parameters."""
    return sa.create_engine("postgresql+psycopg://", creator=lambda: connect_now(url), hide_parameters=True)
