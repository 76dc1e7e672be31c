"""The inbox's partitions, one a UTC day: made ahead, dropped after the retention."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

AHEAD_DAYS: Final = 3
_PREFIX: Final = "inbox_"
_LIST: Final = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'inbox'::regclass ORDER BY c.relname"""


def name_of(day: date) -> str:
    """Return the name of the partition of this day."""
    return f"{_PREFIX}{day:%Y%m%d}"


def day_of(name: str) -> date:
    """Return the day of the partition of this name."""
    return datetime.strptime(name.removeprefix(_PREFIX), "%Y%m%d").replace(tzinfo=UTC).date()


async def oldest_day(connection: psycopg.AsyncConnection[Any]) -> date:
    """Return the first day that the inbox remembers. Raises LookupError when there is no partition at all."""
    row = await (await connection.execute(_LIST)).fetchone()
    if row is None:
        raise LookupError("the inbox has no partitions; run `payments migrate`")
    return day_of(row[0])


async def maintain(connection: psycopg.AsyncConnection[Any], retention_days: int) -> tuple[int, int]:
    """Make the partitions from the retention until some days ahead, drop older ones; return how many of each.

    The caller's transaction commits. The advisory lock lets two processes do this at once.
    """
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('payments.inbox.partitions'))")
    row = await (await connection.execute("SELECT (now() AT TIME ZONE 'UTC')::date")).fetchone()
    assert row is not None
    today: date = row[0]
    names = {name for (name,) in await (await connection.execute(_LIST)).fetchall()}
    first = today - timedelta(days=retention_days)
    wanted = {
        name_of(first + timedelta(days=n)): first + timedelta(days=n) for n in range(retention_days + AHEAD_DAYS + 1)
    }
    made = [name for name in wanted if name not in names]
    for name in made:
        day = wanted[name]
        await connection.execute(
            sql.SQL("CREATE TABLE {} PARTITION OF inbox FOR VALUES FROM ({}) TO ({}) {}").format(
                sql.Identifier(name),
                sql.Literal(day.isoformat()),
                sql.Literal((day + timedelta(days=1)).isoformat()),
                sql.SQL("WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)"),
            )
        )
    dropped = [name for name in names if day_of(name) < first]
    for name in dropped:
        await connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
    return len(made), len(dropped)
