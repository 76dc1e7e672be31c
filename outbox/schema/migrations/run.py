"""Runs the migrations without a configuration file: they are package data, so they are wherever the package is."""

import time
from collections.abc import Callable
from importlib.resources import as_file, files
from typing import Any, Final, NamedTuple

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from domain.errors import Transient
from outbox.driver.engine import engine_for
from outbox.driver.sqlstates import Family, family_of, first_line
from outbox.schema.migrations.writers import IN_USE

Target = Callable[["psycopg.Connection[Any]"], str | None]
"""Says under the migrations' lock, in their transaction, to which revision to go; None: nowhere."""
LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('payments.migrations'))"
LOCK_WAIT_MS: Final = 500
"""While a migration waits for a table, all inserts into it wait behind it. A backup locks every table for hours."""
LOCK_WAIT_OURS_MS: Final = 2_000
"""If only processes of ours are in the way, later tries wait longer: under load a short one may never find a gap."""
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
            OR l.locktype = 'advisory' AND l.objid IN (hashtext('payments.migrations')::bigint & 4294967295,
                                                       hashtext('payments.releases')::bigint & 4294967295))
     ORDER BY ours, l.pid LIMIT 5"""
"""Sessions that lock our tables, migrate, or start. Our own processes come last: they release their locks at once."""


def config(connection: Connection | None = None) -> Config:
    """Make Alembic's configuration over an open connection."""
    result = Config()
    with as_file(files("outbox.schema.migrations")) as folder:
        result.set_main_option("script_location", str(folder))
    result.attributes["connection"] = connection
    return result


def _to_head(_: "psycopg.Connection[Any]") -> str:
    return "head"


def upgrade(
    url: str,
    progress: Callable[[str], None] = lambda _: None,
    *,
    target: Target = _to_head,
    give_up_s: float = GIVE_UP_S,
) -> None:
    """Migrate; any number of processes may do so at once.

    url: postgresql+psycopg://... target: how far, see targets.py. If others use a table, it makes short tries, so that
    orders go on between them; progress gets who holds the table. Raises Transient after give_up_s, and what target
    raises. All migrations are one transaction, so nothing has changed then.
    """
    # Who waited for another migration must see what it did, whatever the database's default is.
    engine = engine_for(url).execution_options(isolation_level="READ COMMITTED")
    end = time.monotonic() + give_up_s
    wait_ms = LOCK_WAIT_MS
    try:
        while (holding := _try(engine, target, wait_ms)) is not None:
            if time.monotonic() + PAUSE_S > end:
                raise Transient(f"others use the tables for long ({holding.named}): end them, or migrate later")
            progress(f"waiting for tables that others use: {holding.named}")
            wait_ms = min(2 * wait_ms, LOCK_WAIT_OURS_MS) if holding.ours else LOCK_WAIT_MS
            time.sleep(PAUSE_S)
    finally:
        engine.dispose()


class _Holding(NamedTuple):
    """Who holds the tables. ours: only processes of this pipeline, which let go after a transaction."""

    named: str
    ours: bool


def _try(engine: sa.Engine, target: Target, wait_ms: int) -> _Holding | None:
    """Migrate; if others hold a table, return who they are."""
    try:
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = {wait_ms}"))
            connection.execute(text(LOCK))
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            if (revision := target(driver)) is not None:
                command.upgrade(config(connection), revision)
    except (sa.exc.DBAPIError, psycopg.Error) as error:
        of_driver = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if not isinstance(of_driver, psycopg.Error) or family_of(of_driver) not in {Family.BUSY, Family.LOST_RACE}:
            raise
        if of_driver.sqlstate == IN_USE:
            # Nobody waits behind this wait, so later ones may be as long as for processes of ours.
            return _Holding(first_line(of_driver), ours=True)
        return _holders(engine) or _Holding(first_line(of_driver), ours=False)
    return None


def _holders(engine: sa.Engine) -> _Holding | None:
    with engine.connect() as connection:
        found = connection.execute(text(_HOLDERS)).all()
    named = ", ".join(f"{name} (pid {pid})" for name, pid, _ in found)
    return _Holding(named, all(ours for _, _, ours in found)) if found else None
