"""Runs the migrations without a configuration file: they are package data, so they are wherever the package is."""

import time
from collections.abc import Callable
from importlib.resources import as_file, files
from typing import Final

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from domain.errors import Transient
from outbox.driver.engine import engine_for
from outbox.driver.sqlstates import Family, family_of, first_line

LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('payments.migrations'))"
LOCK_WAIT_MS: Final = 500
"""While a migration waits for a table, all inserts into it wait behind it. A backup locks every table for hours."""
PAUSE_S: Final = 2.0
"""Between two tries, so that the inserts that waited can go on."""
GIVE_UP_S: Final = 600.0
_HOLDERS: Final = """
    SELECT DISTINCT coalesce(nullif(a.application_name, ''), 'a client without a name') AS name, l.pid,
           a.application_name LIKE 'payments%' AS ours
      FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.granted AND l.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_database
                                                                      WHERE datname = current_database())
       AND (l.relation = ANY(SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace
                                                        AND relkind IN ('r', 'p'))
            OR l.locktype = 'advisory' AND l.objid = hashtext('payments.migrations')::bigint & 4294967295)
     ORDER BY ours, l.pid LIMIT 5"""
"""Sessions that lock our tables, or migrate. Our own processes come last: they release their locks at once."""


def config(connection: Connection | None = None) -> Config:
    """Make Alembic's configuration over an open connection."""
    result = Config()
    with as_file(files("outbox.schema.migrations")) as folder:
        result.set_main_option("script_location", str(folder))
    result.attributes["connection"] = connection
    return result


def upgrade(url: str, progress: Callable[[str], None] = lambda _: None, *, give_up_s: float = GIVE_UP_S) -> None:
    """Bring the schema to head; any number of processes may do so at once. url: postgresql+psycopg://...

    If others use a table, it makes short tries, so that orders go on between them; progress gets who holds the table.
    Raises Transient after give_up_s. All migrations are one transaction, so nothing has changed then.
    """
    engine = engine_for(url)
    end = time.monotonic() + give_up_s
    try:
        while (holding := _try(engine)) is not None:
            if time.monotonic() + PAUSE_S > end:
                raise Transient(f"others use the tables for long ({holding}): end them, or migrate later")
            progress(f"waiting for tables that others use: {holding}")
            time.sleep(PAUSE_S)
    finally:
        engine.dispose()


def _try(engine: sa.Engine) -> str | None:
    """Migrate; if others hold a table, return who they are."""
    try:
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}"))
            connection.execute(text(LOCK))
            command.upgrade(config(connection), "head")
    except sa.exc.DBAPIError as error:
        if not isinstance(error.orig, psycopg.Error) or family_of(error.orig) not in {Family.BUSY, Family.LOST_RACE}:
            raise
        return _holders(engine) or first_line(error.orig)
    return None


def _holders(engine: sa.Engine) -> str:
    with engine.connect() as connection:
        found = connection.execute(text(_HOLDERS)).all()
    return ", ".join(f"{name} (pid {pid})" for name, pid, _ in found)
