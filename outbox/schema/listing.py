"""An index by the time of change, for lists of orders, on servers that keep it for nothing.

Each step of each order changes that time. From version 16 PostgreSQL writes no other index when only columns of BRIN
indexes change; before, an update would leave its page and write all of them. The index has a few bytes for every 32
pages. So it is no migration: it depends on the server, and `payments migrate` makes it when the server is new enough.
"""

from collections.abc import Callable
from typing import Any, Final, LiteralString

import psycopg

from outbox.driver.conninfo import connect_now

INDEX: Final[LiteralString] = "orders_updated_at_idx"
FIRST_VERSION: Final = 160_000
"""The server's version from which it is made, as PostgreSQL numbers them."""
LOCK_S: Final = 10
"""Seconds that one wait may take, for a table's lock or for the end of an older transaction."""

_OTHERS: Final = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,  # an older transaction that we wait for wants to lock the whole table
)
"""What is raised when others are in the way."""
_ALONE: Final = "SELECT pg_try_advisory_lock(hashtext('payments.listing'))"
"""Of several at a time one is at work; the others leave it to that one. The lock ends with the session."""
_VALID: Final = """
    SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE i.indrelid = 'orders'::regclass AND c.relname = %s"""
_MAKE: Final[LiteralString] = f"""
    CREATE INDEX CONCURRENTLY {INDEX} ON orders USING brin (updated_at)
      WITH (pages_per_range = 32, autosummarize = on)"""
_DROP: Final[LiteralString] = f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}"


def keep_list_index(
    url: str, progress: Callable[[str], None] = lambda _: None, *, first_version: int = FIRST_VERSION
) -> bool:
    """Make the index, or drop it where it costs too much; return False if others were in the way.

    Writers go on meanwhile. One that was begun and not finished is made anew. url: not through a pooler. Raises
    psycopg's Error if the server does not answer.
    """
    with connect_now(url, autocommit=True) as connection:
        connection.execute("SET statement_timeout = 0")
        connection.execute(f"SET lock_timeout = '{LOCK_S}s'")
        (alone,) = connection.execute(_ALONE).fetchone() or (False,)
        if not alone:
            return True
        row = connection.execute(_VALID, [INDEX]).fetchone()
        wanted = connection.info.server_version >= first_version
        try:
            _bring_about(connection, progress, wanted=wanted, valid=None if row is None else bool(row[0]))
        except _OTHERS:
            return False
    return True


def _bring_about(
    connection: psycopg.Connection[Any], progress: Callable[[str], None], *, wanted: bool, valid: bool | None
) -> None:
    """Make or drop it. valid: of the index that is there; None: there is none."""
    if valid is not None and not (wanted and valid):
        connection.execute(_DROP)
        if not wanted:
            progress(f"index {INDEX} dropped: before version 16 PostgreSQL would write all indexes at each update")
    if wanted and not valid:
        connection.execute(_MAKE)
        progress(f"index {INDEX} made: lists of orders read what changed lately, not the whole table")
