"""The scratch schema: both sides of all orders, in tables that nobody else uses.

It lies in any database, the live one too, and never in a schema in which anything is. Nothing of it is logged: a crash
empties it. It is dropped in the end, or kept to be looked at.
"""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, LiteralString

import orjson
import psycopg
from psycopg import sql

from outbox.audit.rebuild import kept, said
from outbox.audit.rebuild.fold import Folded, fold
from outbox.audit.rebuild.judge import Live
from outbox.audit.rebuild.kept import Kept
from outbox.audit.rebuild.said import Said
from outbox.audit.rebuild.state import read_state, write_state
from outbox.driver.batches import Column, Insert, insert, word
from outbox.driver.conninfo import connect

DEFAULT_SCHEMA: Final = "payments_rebuild"
FETCH: Final = 10_000
"""Rows that are in memory at a time."""
_SETUP: Final[tuple[LiteralString, ...]] = (
    "SET synchronous_commit = off",
    "SET statement_timeout = 0",
    "SET idle_in_transaction_session_timeout = 0",
    "SET jit = off",
    "SET work_mem = '64MB'",
)
_SIDE: Final = (
    word("order_id", "the order"),
    Column("state", nullable=True, comment="state.OrderState as a line of JSON; null: only an OrderConfirmed"),
    Column("more", comment="what else is known of that side, JSON; empty: nothing that matters"),
)
LIVE: Final[Insert] = insert("live_order", _SIDE)
TOLD: Final[Insert] = insert("told_order", _SIDE)
REFUSED: Final[Insert] = insert("refused_order", _SIDE[:1])
_TABLES: Final = {
    kept.TABLE: kept.COLUMNS,
    said.TABLE: said.COLUMNS,
    "live_order": _SIDE,
    "told_order": _SIDE,
    "refused_order": _SIDE[:1],
}
_SAID: Final[LiteralString] = "SELECT * FROM said ORDER BY order_id, order_version, ordinal, event_id"
_PAIRS: Final[LiteralString] = """
    SELECT coalesce(l.order_id, t.order_id) AS order_id, l.state, l.more, t.state, t.more,
           EXISTS (SELECT FROM refused_order r WHERE r.order_id = t.order_id)
      FROM live_order l FULL JOIN told_order t ON t.order_id = l.order_id ORDER BY 1"""
_FOUND: Final[LiteralString] = """
    SELECT count(*) FROM (SELECT relnamespace AS n FROM pg_class UNION ALL SELECT pronamespace FROM pg_proc
                          UNION ALL SELECT typnamespace FROM pg_type) o JOIN pg_namespace s ON s.oid = o.n
     WHERE s.nspname = %s"""


PASSING: Final = "payments rebuild: it is dropped when its run ends"
"""The comment of a schema that nobody wants to keep."""
_LEFT: Final[LiteralString] = """
    SELECT (SELECT count(*) FROM pg_class c WHERE c.relnamespace = s.oid AND c.relkind <> 'i' AND c.relkind <> 't'
                                              AND c.relname <> ALL(%s))
         + (SELECT count(*) FROM pg_proc p WHERE p.pronamespace = s.oid)
      FROM pg_namespace s WHERE s.nspname = %s AND obj_description(s.oid, 'pg_namespace') = %s"""
"""How much is in it that is not ours. No row: there is no such schema, or it has not our mark."""
_HOLD: Final[LiteralString] = "SELECT pg_try_advisory_lock(hashtext('payments rebuild'), hashtext(%s))"


class ScratchRefused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """The schema is not to be used. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One order on both sides; None: that side does not know it. Lines are as state.write_state makes them."""

    order_id: str
    live_line: str | None
    live_more: str | None
    told_line: str | None
    told_more: str | None
    refused: bool

    def live(self) -> Live | None:
        """Return the live side."""
        if self.live_line is None:
            return None
        return Live(read_state(self.live_line), *orjson.loads(self.live_more or "[]"))

    def told(self) -> Folded | None:
        """Return what the topics say."""
        if self.told_more is None:
            return None
        state = None if self.told_line is None else read_state(self.told_line)
        *cells, unclear = orjson.loads(self.told_more)
        return Folded._make((state, *cells, tuple(unclear)))


@dataclass(frozen=True, slots=True)
class Scratch:
    """The schema, by a connection whose search path it is."""

    connection: psycopg.AsyncConnection[Any]
    schema: str

    async def copy(self, into: Insert, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append rows, tuples in the order of the columns. No rows: do nothing."""
        if not rows:
            return
        async with self.connection.cursor() as cursor, cursor.copy(into.copy) as copy:
            await copy.write(into.body(rows))

    async def fold_all(self) -> AsyncIterator[int]:
        """Fold what was said into told_order, in parts; yield how many orders have been folded so far.

        An order's rows are never apart in two parts, so memory grows with the longest history only.
        """
        await self.connection.execute("ANALYZE said")
        orders, rest = 0, []
        async with self.connection.transaction(), self.connection.cursor(name="said", binary=True) as cursor:
            cursor.itersize = FETCH
            await cursor.execute(_SAID)
            while rows := await cursor.fetchmany(FETCH):
                rest += [Said._make(row) for row in rows]
                last = rest[-1].order_id
                cut = next(n for n, row in enumerate(rest) if row.order_id == last)
                done, rest = rest[:cut], rest[cut:]
                orders += await self._fold(done)
                yield orders
            orders += await self._fold(rest)
            yield orders

    async def _fold(self, rows: Sequence[Said]) -> int:
        sides = [_side_of(order_id, fold(order_id, group)) for order_id, group in groupby(rows, key=lambda r: r[0])]
        await self.copy(TOLD, sides)
        return len(sides)

    async def kept_orders(self, at_once: int) -> AsyncGenerator[Sequence[Sequence[Kept]], None]:
        """Yield what was kept of each order, `at_once` orders at a time, sorted by order id."""
        await self.connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(kept.TABLE)))
        async with self.connection.transaction(), self.connection.cursor(name="kept", binary=True) as cursor:
            cursor.itersize = FETCH
            await cursor.execute(kept.READ)
            orders: list[list[Kept]] = []
            async for row in cursor:
                one = Kept._make(row)
                if orders and orders[-1][0].order_id == one.order_id:
                    orders[-1].append(one)
                    continue
                if len(orders) == at_once:
                    yield orders
                    orders = []
                orders.append([one])
            if orders:
                yield orders

    async def pairs(self) -> AsyncGenerator[Sequence[Pair], None]:
        """Yield both sides of all orders, sorted by order id, FETCH at a time."""
        await self.connection.execute("ANALYZE")
        async with self.connection.transaction(), self.connection.cursor(name="pairs", binary=True) as cursor:
            cursor.itersize = FETCH
            await cursor.execute(_PAIRS)
            while rows := await cursor.fetchmany(FETCH):
                yield [Pair(*row) for row in rows]


def live_side(live: Live) -> tuple[str, str, str]:
    """Return the row of live_order."""
    return live.state.order_id, write_state(live.state).decode(), orjson.dumps(live[1:]).decode()


def _side_of(order_id: str, told: Folded) -> tuple[str, str | None, str]:
    line = None if told.state is None else write_state(told.state).decode()
    return order_id, line, orjson.dumps(told[1:]).decode()


@asynccontextmanager
async def open_scratch(
    url: str, schema: str, live: psycopg.AsyncConnection[Any], *, keep: bool
) -> AsyncIterator[Scratch]:
    """Make the tables in this schema of this database, and drop them afterwards unless keep says otherwise.

    live: an idle connection to the live database, in autocommit. Raises ScratchRefused for its schema and for one in
    which something is; psycopg.Error for what the database refuses.
    """
    async with await connect(url, name="payments rebuild", autocommit=True) as connection:
        for statement in _SETUP:
            await connection.execute(statement)
        made = await _claim(connection, schema, live, keep=keep)
        name = sql.Identifier(schema)
        await connection.execute(sql.SQL("SET search_path = {}").format(name))
        scratch = Scratch(connection, schema)
        try:
            for table, columns in _TABLES.items():
                await connection.execute(_create(table, columns))
            yield scratch
        finally:
            if not keep and not connection.closed:
                await _drop(connection, schema, whole=made)


async def _claim(
    connection: psycopg.AsyncConnection[Any], schema: str, live: psycopg.AsyncConnection[Any], *, keep: bool
) -> bool:
    """Make the schema; return False if it was there, empty. Raise ScratchRefused if it is not to be used.

    One that a run has left that was killed is dropped first. keep: ours will be left there on purpose.
    """
    row = await (await live.execute("SELECT current_schema()")).fetchone()
    if row is not None and row[0] == schema and await _same_database(connection, live):
        raise ScratchRefused(f"{schema} is the live schema: name another one with --schema")
    held = await (await connection.execute(_HOLD, [schema])).fetchone()
    if held is not None and not held[0]:
        raise ScratchRefused(
            f"another rebuild uses the schema {schema}: wait for its end, or name another with --schema"
        )
    if await _is_left(connection, schema):
        await _drop(connection, schema, whole=True)
    there = await (await connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [schema])).fetchone()
    if there is None:
        name = sql.Identifier(schema)
        async with connection.transaction():
            await connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
            if not keep:
                await connection.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(name, sql.Literal(PASSING)))
        return True
    found = await (await connection.execute(_FOUND, [schema])).fetchone()
    if found is not None and found[0]:
        raise ScratchRefused(
            f"the schema {schema} of that database is not empty: name another one with --schema; or, if it is left "
            f"from a rebuild, DROP SCHEMA {sql.Identifier(schema).as_string(None)} CASCADE"
        )
    return False


async def _is_left(connection: psycopg.AsyncConnection[Any], schema: str) -> bool:
    """Whether a run that was killed has left the schema: its mark is there, and nothing but our tables."""
    row = await (await connection.execute(_LEFT, [list(_TABLES), schema, PASSING])).fetchone()
    return row is not None and not row[0]


async def _same_database(one: psycopg.AsyncConnection[Any], other: psycopg.AsyncConnection[Any]) -> bool:
    """Whether both lead to one database, by whatever name: an advisory lock of one keeps the other from it."""
    key = secrets.randbits(62)
    await one.execute("SELECT pg_advisory_lock(%s)", [key])
    try:
        row = await (await other.execute("SELECT pg_try_advisory_lock(%s)", [key])).fetchone()
        assert row is not None
        if row[0]:
            await other.execute("SELECT pg_advisory_unlock(%s)", [key])
        return not row[0]
    finally:
        await one.execute("SELECT pg_advisory_unlock(%s)", [key])


async def _drop(connection: psycopg.AsyncConnection[Any], schema: str, *, whole: bool) -> None:
    """Drop the schema; one that was there before stays, without our tables."""
    if whole:
        await connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        return
    names = sql.SQL(", ").join(sql.Identifier(schema, table) for table in _TABLES)
    await connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(names))


def _create(table: str, columns: Sequence[Column]) -> sql.Composed:
    """Write the statement that makes a table. Order ids sort by their bytes on both sides, whatever the locale."""
    cells = [
        sql.SQL("{} {} {}").format(
            sql.Identifier(column.name),
            sql.SQL('text COLLATE "C"' if column.name == "order_id" else column.type),
            sql.SQL("" if column.nullable else "NOT NULL"),
        )
        for column in columns
    ]
    return sql.SQL("CREATE UNLOGGED TABLE {} ({})").format(sql.Identifier(table), sql.SQL(", ").join(cells))
