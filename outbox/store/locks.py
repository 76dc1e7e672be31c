"""Finds out who locks our tables, or rows that orders need. Asked after a wait has failed; see README.

A row is locked if SKIP LOCKED skips it. Its xmax is the locking transaction, and pg_locks has that one's session. Every
user may read these. Of other users' sessions pg_stat_activity shows the user and the application.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, LiteralString

import psycopg

from domain.ids import OrderId
from domain.ports.locks import Holder, Locks, RowLock, TableLock
from outbox.driver.connections import begin
from outbox.schema.privileges import TABLES, Process

Connection = psycopg.AsyncConnection[Any]

_WAIT: Final[LiteralString] = "SET LOCAL lock_timeout = 200"
"""Locked rows are skipped. This bounds the wait for a table that somebody locks just now."""
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
"""A session that waits for such a lock counts too: all later ones wait behind it."""
_OWN: Final[LiteralString] = "order_id = ANY(%(ids)s)"
_OF_ORDERS: Final[LiteralString] = f"order_number = ANY(ARRAY(SELECT order_number FROM orders WHERE {_OWN}))"


def _skipped(table: LiteralString, found: LiteralString) -> LiteralString:
    """Write the query for the locked rows among those that the condition finds."""
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


async def find_locks(connection: Connection, order_ids: Sequence[OrderId]) -> Locks:
    """Return who locks tables, or else who locks rows that these orders need. Keeps no lock."""
    tables = await _held_tables(connection)
    if tables:
        return Locks(tables)
    try:
        rows = await _held_rows(connection, order_ids)
    except psycopg.errors.LockNotAvailable:
        await connection.rollback()
        return Locks(await _held_tables(connection))
    await connection.rollback()
    return Locks(rows=rows)


async def _held_tables(connection: Connection) -> tuple[TableLock, ...]:
    await begin(connection)
    cursor = await connection.execute(_HELD_TABLES, [list(TABLES[Process.ENGINE])])
    return tuple(TableLock(table, mode, Holder(*holder)) for table, mode, *holder in await cursor.fetchall())


async def _held_rows(connection: Connection, order_ids: Sequence[OrderId]) -> tuple[RowLock, ...]:
    await connection.execute(_WAIT)
    needed: dict[tuple[str, str, str], set[OrderId]] = defaultdict(set)
    for query in _HELD_ROWS:
        cursor = await connection.execute(query, {"ids": list(order_ids)})
        for table, key, transaction, order_id in await cursor.fetchall():
            needed[table, key, transaction].add(OrderId(order_id))
    if not needed:
        return ()
    cursor = await connection.execute(_HOLDERS, [[transaction for _, _, transaction in needed]])
    holders = {transaction: Holder(*holder) for transaction, *holder in await cursor.fetchall()}
    return tuple(RowLock(*name, frozenset(by), holders.get(name[2])) for name, by in needed.items())
