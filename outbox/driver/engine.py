"""SQLAlchemy's engine, for commands. It cannot read a URL with several hosts, so we open its connections."""

import sqlalchemy as sa

from outbox.driver.conninfo import connect_now


def engine_for(url: str) -> sa.Engine:
    """Make an engine over connect_now. Its errors do not show parameters."""
    return sa.create_engine("postgresql+psycopg://", creator=lambda: connect_now(url), hide_parameters=True)
