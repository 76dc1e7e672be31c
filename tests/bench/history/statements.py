"""What PostgreSQL's own count of statements says of a measurement: time, blocks and log of each, a difference."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import psycopg

from tests.bench.servers import Database

_READ: Final = """
    SELECT query, sum(calls), sum(total_exec_time), sum(shared_blks_hit), sum(shared_blks_read), sum(wal_fpi)
      FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = %s) GROUP BY 1"""


class Spent(NamedTuple):
    """What calls of a statement took. ms: with what they waited for. hit, read: blocks found in the cache, and not.

    images: whole pages in the write-ahead log, one for each page that changes for the first time after a checkpoint.
    """

    calls: float = 0
    ms: float = 0
    hit: float = 0
    read: float = 0
    images: float = 0


Statements = Mapping[str, Spent]


def read_statements(superuser: Database, database: Database) -> Statements:
    """Read what each statement has taken so far in this database; nothing where PostgreSQL does not count."""
    with superuser.connect() as connection:
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            rows = connection.execute(_READ.encode(), [database.url.database]).fetchall()
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.ObjectNotInPrerequisiteState):
            return {}
    return {str(query): Spent(*(float(str(value)) for value in values)) for query, *values in rows}


def per_order(before: Statements, after: Statements, orders: int) -> dict[str, Spent]:
    """Return what each statement took meanwhile, an order."""
    return {
        query: Spent(*((now - then) / orders for now, then in zip(spent, before.get(query, Spent()), strict=True)))
        for query, spent in after.items()
        if spent.calls > before.get(query, Spent()).calls
    }


def total(statements: Statements) -> Spent:
    """Add them up."""
    return Spent(*map(sum, zip(*statements.values(), strict=True))) if statements else Spent()
