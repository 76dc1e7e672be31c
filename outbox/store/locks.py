"""Who holds our tables, or rows that orders need, at this moment. Asked once somebody has waited in vain; see README.

A row is held if SKIP LOCKED skips it. Its xmax is the transaction that holds it, or the multixact of several, and
pg_locks knows whose a transaction is.
Every user sees these; of other users' sessions pg_stat_activity shows the names of the user and of the application.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from domain.errors import Busy
from domain.ids import OrderId
from domain.ports.locks import Holder, Locks, RowLock, TableLock, describe_holder
from outbox.driver.connections import begin
from outbox.driver.session import Session
from outbox.driver.sqlstates import PLACE
from outbox.schema.privileges import TABLES, Process

_WAIT: Final[LiteralString] = "SET LOCAL lock_timeout = 200"
"""Rows that are held are skipped; a table that somebody takes just now is waited for."""
_HOLDER: Final[LiteralString] = """
    l.pid, a.usename, a.application_name, a.state,
    extract(epoch FROM clock_timestamp() - a.xact_start)::bigint"""
_HELD_TABLES: Final[LiteralString] = f"""
    SELECT c.relname, l.mode, {_HOLDER}
      FROM pg_locks l JOIN pg_class c ON c.oid = l.relation LEFT JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_backend_pid()
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
       AND (l.relation IN (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)
            OR l.relation IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('inbox')))
     ORDER BY l.granted DESC, l.waitstart, l.pid"""
"""Whoever waits for such a lock counts, too: all who come later wait behind."""
_OWN: Final[LiteralString] = "order_id = ANY(%(ids)s)"
_OF_ORDERS: Final[LiteralString] = f"order_number = ANY(ARRAY(SELECT order_number FROM orders WHERE {_OWN}))"


def _skipped(table: LiteralString, found: LiteralString) -> LiteralString:
    """Write the question which of the rows that are found so are held."""
    return f"""
        WITH free AS MATERIALIZED (SELECT ctid AS place FROM {table} WHERE {found} FOR UPDATE SKIP LOCKED)
        SELECT '{table}', order_id, xmax::text, order_id FROM {table}
         WHERE {found} AND ctid NOT IN (SELECT place FROM free)"""


_HELD_STOCK: Final[LiteralString] = f"""
    WITH need AS MATERIALIZED (
           SELECT o.order_id, line->>0 AS sku FROM orders o, jsonb_array_elements(o.lines) AS line WHERE {_OWN}),
         free AS MATERIALIZED (
           SELECT sku FROM stock WHERE sku = ANY(ARRAY(SELECT DISTINCT sku FROM need)) FOR UPDATE SKIP LOCKED)
    SELECT 'stock', s.sku, s.xmax::text, n.order_id FROM need n JOIN stock s USING (sku)
     WHERE s.sku NOT IN (SELECT sku FROM free)"""
_HELD_ROWS: Final[tuple[LiteralString, ...]] = (
    _skipped("orders", _OWN),
    *(_skipped(table, _OF_ORDERS) for table in ("attempt", "operation", "reservation")),
    _HELD_STOCK,
)
_HOLDERS: Final[LiteralString] = f"""
    SELECT l.transactionid::text, {_HOLDER}
      FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'transactionid' AND l.granted AND l.mode = 'ExclusiveLock'
       AND l.transactionid::text = ANY(%s)"""

_MEMBERS: Final[LiteralString] = "SELECT xid::text FROM pg_get_multixact_members(%s::text::xid) ORDER BY mode = 'keysh'"
_TOLD_MAX: Final = 50
"""Of so many multixacts, or transactions, the members are looked up; more hold rows only if nothing is well."""


async def find_locks(connection: Session, order_ids: Sequence[OrderId]) -> Locks:
    """Look who holds tables, and rows that these orders need. Keeps no lock."""
    tables = await _held_tables(connection)
    try:
        rows = await _held_rows(connection, order_ids)
    except psycopg.errors.LockNotAvailable:
        await connection.rollback()
        return Locks(await _held_tables(connection), blind=True)
    await connection.rollback()
    return Locks(tables, rows)


async def _row_lock(connection: Session, context: str) -> RowLock | None:
    """Return who holds the row that an error's context names; None if it names none that can be seen.

    In whatever language the server says it, it says the row's place in its table, as two numbers, and the table's name.
    """
    place = PLACE.search(context)
    table = next((name for name in TABLES[Process.ENGINE] if re.search(rf"\b{name}\b", context)), None)
    if place is None or table is None:
        return None
    await begin(connection)
    asked = sql.SQL("SELECT xmax::text FROM {} WHERE ctid = %s::tid").format(sql.Identifier(table))
    found = await (await connection.execute(asked, [place.group()])).fetchone()
    row = None
    if found is not None:
        (row,) = await _told(connection, {(table, "", found[0]): set()})
    await connection.rollback()
    return row


async def name_holder(connection: Session, busy: Busy, context: str) -> Busy:
    """Return the error with who holds the row that its context names."""
    row = await _row_lock(connection, context)
    where = "a row" if row is None else f"a row of {row.table}"
    who = ", ".join(f"{name} {value}" for name, value in describe_holder(row.holder if row else None).items())
    return Busy(f"{busy}; another session holds {where}: {who}", at_row=True)


async def _held_tables(connection: Session) -> tuple[TableLock, ...]:
    await begin(connection)
    cursor = await connection.execute(_HELD_TABLES, [list(TABLES[Process.ENGINE])])
    return tuple(TableLock(table, mode, Holder(*holder)) for table, mode, *holder in await cursor.fetchall())


async def _held_rows(connection: Session, order_ids: Sequence[OrderId]) -> tuple[RowLock, ...]:
    await connection.execute(_WAIT)
    needed: dict[tuple[str, str, str], set[OrderId]] = defaultdict(set)
    for query in _HELD_ROWS:
        cursor = await connection.execute(query, {"ids": list(order_ids)})
        for table, key, xmax, order_id in await cursor.fetchall():
            needed[table, key, xmax].add(OrderId(order_id))
    return await _told(connection, needed) if needed else ()


async def _told(connection: Session, needed: Mapping[tuple[str, str, str], Collection[OrderId]]) -> tuple[RowLock, ...]:
    numbers = list(dict.fromkeys(xmax for _, _, xmax in needed))
    members = {xmax: await _members(connection, xmax) for xmax in numbers[:_TOLD_MAX]}
    asked = {*numbers, *(xid for xids in members.values() for xid in xids)}
    cursor = await connection.execute(_HOLDERS, [list(asked)])
    holders = {transaction: Holder(*holder) for transaction, *holder in await cursor.fetchall()}
    return tuple(
        _row(table, key, xmax, frozenset(by), members.get(xmax, ()), holders)
        for (table, key, xmax), by in needed.items()
    )


async def _members(connection: Session, xmax: str) -> Sequence[str]:
    """Return the transactions of the multixact of this number, those first that hold more; none if there is none."""
    try:
        async with connection.transaction():
            cursor = await connection.execute(_MEMBERS, [xmax])
            return [row[0] for row in await cursor.fetchall()]
    except psycopg.OperationalError:
        raise
    except psycopg.Error:
        return ()  # no multixact has this number, or not any more


def _row(
    table: str, key: str, xmax: str, needed_by: frozenset[OrderId], members: Sequence[str], holders: dict[str, Holder]
) -> RowLock:
    """Say who holds a row. Its xmax is a transaction or a multixact, of several; both are counted from one.

    Where it may be either nobody is named: it must not be an innocent.
    """
    if not members:
        return RowLock(table, key, frozenset({xmax}), needed_by, holders.get(xmax))
    holder = None if xmax in holders else next((holders[xid] for xid in members if xid in holders), None)
    return RowLock(table, key, frozenset({xmax, *members}), needed_by, holder, shared=True)
