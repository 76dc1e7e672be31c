"""The inbox's partitions, one for each UTC day: made ahead, dropped after the retention, without making others wait.

A backup holds a weak lock on every table for hours. A request for a strong lock on `inbox` waits for it, and all
inserts wait behind the request. So a day's table is made apart and then attached, which needs no strong lock there.
Dropping needs one. It gives up after a tenth of a second; the next upkeep tries again.

Functions of who migrates do it (migration 0017), so that our own user need not own the tables.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from domain.errors import Transient
from outbox.driver.sqlstates import Family, family_of, first_line

AHEAD_DAYS: Final = 3
_PREFIX: Final = "inbox_"
_DAYS: Final[LiteralString] = r"""
    SELECT (now() AT TIME ZONE 'UTC')::date, c.relname, i.inhdetachpending,
           CASE WHEN one.style IS NOT NULL THEN pg_get_expr(c.relpartbound, c.oid) END, pg_table_is_visible(c.oid)
      FROM (SELECT set_config('datestyle', 'ISO', true) AS style) one
      LEFT JOIN pg_inherits i ON i.inhparent = 'inbox'::regclass
      LEFT JOIN pg_class c ON c.oid = i.inhrelid AND c.relname ~ '^inbox_\d{8}$'
     ORDER BY c.relname"""
"""PostgreSQL writes the dates of bounds in the session's date style, so the query sets one first."""
_LOCK: Final[LiteralString] = "SELECT pg_advisory_xact_lock(hashtext('payments.inbox.partitions'))"
_MAKE_WAIT: Final[LiteralString] = "SET LOCAL lock_timeout = '2s'"
"""These locks make nobody wait."""
_DROP_WAIT: Final[LiteralString] = "SET LOCAL lock_timeout = '100ms'"
"""All inserts wait behind a request for this lock."""
_OF_THIS_DAY: Final = frozenset({Family.BUG, Family.MESSAGE})
"""Errors of one day's table. After any other error the next day would fail too, and each try waits for a lock."""


@dataclass(slots=True)
class InboxDays:
    """The days of the inbox as they are. leaving: days whose partition somebody has begun to detach.

    strange: partitions with the name of a day but other bounds. Somebody else attached them.
    """

    today: date
    attached: set[date] = field(default_factory=set)
    leaving: set[date] = field(default_factory=set)
    strange: list[str] = field(default_factory=list)

    @property
    def ahead(self) -> int:
        """The number of days in a row after today that have a partition; -1 if today has none."""
        days = 0
        while self.today + timedelta(days=days) in self.attached:
            days += 1
        return days - 1

    def missing(self, retention_days: int) -> list[date]:
        """Return the days that lack a partition. Days to come are first: they matter most."""
        wanted = [self.today + timedelta(days=n) for n in (*range(AHEAD_DAYS + 1), *range(-retention_days, 0))]
        return [day for day in wanted if day not in self.attached]

    def past(self, retention_days: int) -> list[date]:
        """Return the days beyond the retention."""
        first = self.today - timedelta(days=retention_days)
        return sorted(day for day in self.attached | self.leaving if day < first)

    def are_right(self, retention_days: int) -> bool:
        """Tell whether there is nothing to mend."""
        return not (self.leaving or self.missing(retention_days) or self.past(retention_days))


def name_of(day: date) -> str:
    """Return the name of the partition of this day."""
    return f"{_PREFIX}{day:%Y%m%d}"


def day_of(name: str) -> date:
    """Return the day of the partition of this name."""
    return datetime.strptime(name.removeprefix(_PREFIX), "%Y%m%d").replace(tzinfo=UTC).date()


async def oldest_day(connection: psycopg.AsyncConnection[Any]) -> date:
    """Return the first day that the inbox remembers. Raises Transient when there is none."""
    days = await read_days(connection)
    if not days.attached:
        raise Transient("the inbox has no partitions: `payments migrate` makes them")
    return min(days.attached)


async def read_days(connection: psycopg.AsyncConnection[Any]) -> InboxDays:
    """Read which days have a partition. Partitions with other names are ignored."""
    # In binary: the driver cannot parse dates in a style that the same statement sets.
    rows = await (await connection.cursor(binary=True).execute(_DAYS)).fetchall()
    days = InboxDays(today=rows[0][0])
    for _, name, leaving, bounds, visible in rows:
        if name is None:
            continue
        day = _day_of(name, bounds) if visible else None
        if day is None:
            days.strange.append(name)
        else:
            (days.leaving if leaving else days.attached).add(day)
    return days


def _day_of(name: str, bounds: str) -> date | None:
    """Return the day of this partition, if both its name and its bounds say so.

    The name alone is not enough: a partition that holds other days must never be dropped.
    """
    try:
        day = day_of(name)
        return day if bounds == f"FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')" else None
    except (ValueError, OverflowError):
        return None


async def mend(connection: psycopg.AsyncConnection[Any], days: InboxDays, retention_days: int) -> list[str]:
    """Detach, make and drop partitions as needed; return what failed, a line each.

    connection: in autocommit, for each day is a transaction of its own. Several processes may do this at once.
    """
    undone: list[str] = []
    for what, chosen, statements_of in (
        ("detach", sorted(days.leaving), _finish),
        ("make", days.missing(retention_days), _make),
        ("drop", days.past(retention_days), _drop),
    ):
        for day in chosen:
            name = name_of(day)
            try:
                async with connection.transaction():
                    for statement in statements_of(day):
                        await connection.execute(statement)
            except psycopg.Error as error:
                undone.append(f"{what} {name}: {first_line(error)}")
                if family_of(error) not in _OF_THIS_DAY:
                    break
    return undone


def _make(day: date) -> list[sql.Composed]:
    """Make a day's table and attach it. An existing table that is not attached is taken as it is.

    Both happen in one transaction. So no backup can lock the new table in between. It is empty, so attaching it
    does not search it for rows of other days.
    """
    return [*_begin(_MAKE_WAIT), sql.SQL("SELECT inbox_make_day({}::date)").format(sql.Literal(day.isoformat()))]


def _drop(day: date) -> list[sql.Composed]:
    return [*_begin(_DROP_WAIT), sql.SQL("SELECT inbox_drop_day({}::date)").format(sql.Literal(day.isoformat()))]


def _finish(day: date) -> list[sql.Composed]:
    """Finish an interrupted DETACH CONCURRENTLY: until then the day accepts no rows and its name is in use."""
    return [*_begin(_MAKE_WAIT), sql.SQL("SELECT inbox_finish_day({}::date)").format(sql.Literal(day.isoformat()))]


def _begin(wait: LiteralString) -> list[sql.Composed]:
    return [sql.Composed([sql.SQL(wait)]), sql.Composed([sql.SQL(_LOCK)])]
