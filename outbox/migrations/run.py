"""Run the migrations without a configuration file: they are package data and go wherever the package goes."""

from importlib.resources import as_file, files
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text

LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('payments.migrations'))"


def config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration over an open connection."""
    result = Config()
    with as_file(files("outbox.migrations")) as folder:
        result.set_main_option("script_location", str(folder))
    result.attributes["connection"] = connection
    return result


def upgrade(url: str) -> None:
    """Bring the schema to head; any number of processes may do so at once. url: postgresql+psycopg://..."""
    engine = create_engine(url, hide_parameters=True)
    try:
        with engine.begin() as connection:
            connection.execute(text(LOCK))
            command.upgrade(config(connection), "head")
    finally:
        engine.dispose()
