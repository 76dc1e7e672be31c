"""What operators read of orders and stock, each answer from one snapshot.

Tokens, and the gateway's ids of customers, are never read. No SQLAlchemy here: loading it takes longer than an answer.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

import psycopg
from psycopg.rows import DictRow, dict_row

from domain.order import Status
from outbox.driver.conninfo import connect_now
from outbox.schema.mapping import ATTEMPTS, OPERATIONS, ORDERS, REQUESTS
from outbox.schema.table import Table

Record = Mapping[str, Any]
Reading = psycopg.Connection[DictRow]
"""A connection in a snapshot; its rows are dictionaries by column."""

_SETUP: Final[tuple[LiteralString, ...]] = (
    # Within the transaction: a pooler accepts no options, and its sessions are not ours.
    "SET LOCAL timezone = 'UTC'",
    # Compiling a query, and starting workers for it, takes more than these queries.
    "SET LOCAL jit = off",
    "SET LOCAL max_parallel_workers_per_gather = 0",
)


def _columns(table: Table[Any], *left_out: str) -> LiteralString:
    """Return a table's columns, for a SELECT, without these."""
    return ", ".join([c.name for c in table.columns if c.name not in left_out])


_ORDER: Final[LiteralString] = f"SELECT {_columns(ORDERS, 'content_hash')} FROM orders WHERE order_id = %s"  # noqa: S608 - literals only
_BY_NUMBER: Final[Mapping[str, LiteralString]] = {
    "attempts": f"SELECT {_columns(ATTEMPTS, 'token')} FROM attempt WHERE order_number = %s ORDER BY attempt",  # noqa: S608 - as above
    "operations": f"""
        SELECT {_columns(OPERATIONS, "frozen")} FROM operation WHERE order_number = %s
         ORDER BY opened_at, attempt, try_number, kind""",  # noqa: S608 - as above
    "holds": "SELECT * FROM reservation WHERE order_number = %s ORDER BY attempt",
    "events": "SELECT * FROM event WHERE order_number = %s ORDER BY id",
    "disputes": "SELECT * FROM dispute WHERE order_number = %s ORDER BY opened_at, dispute_id",
    "requests": f"""
        SELECT {_columns(REQUESTS, "content_hash")} FROM order_request WHERE order_number = %s ORDER BY arrival""",  # noqa: S608 - as above
}
_NOTIFICATIONS: Final[LiteralString] = """
    SELECT n.*, m.state, m.tries, m.due_at, m.error, m.settled_at
      FROM notification n LEFT JOIN message m USING (event_id)
     WHERE n.order_id = %(order_id)s
       AND n.event_id = ANY(ARRAY(SELECT event_id FROM message WHERE order_id = %(order_id)s) || %(events)s::uuid[])
     ORDER BY n.recorded_at, n.event_id"""
"""What the customer was to be told, with what became of sending it; state is null if it was never sent.

Found by their events, those of our journal and those that were to be sent lately: the order has no index there."""
_LETTERS: Final[LiteralString] = """
    SELECT consumer_group, topic, partition, message_offset, message_at, key, masked, reason, detail, first_at, id,
           origin, event_id, order_id, own_inbox, count, waits, behind, to_offset, redriven_at, token_hidden, erased_at
      FROM dead_letter WHERE key = %s ORDER BY first_at, message_offset"""
_RESOLUTIONS: Final[LiteralString] = "SELECT * FROM resolution WHERE order_id = %s ORDER BY id"
_TOLD: Final[LiteralString] = """
    SELECT type, object_id, fate, min(received_at) AS received_at FROM gateway_notice
     WHERE order_id = %s AND fate IN ('kept', 'applied')
     GROUP BY type, object_id, fate ORDER BY received_at, type, object_id, fate"""
"""What is told of one object many times is shown once, as of the first time. The condition is the index's."""
_UNSENT: Final[LiteralString] = """
    SELECT id FROM (SELECT unnest(event_ids) AS id FROM outbox) o WHERE id = ANY(%s)"""
_LIST: Final[LiteralString] = """
    SELECT order_id, status, version, attempt, customer_id, currency, total_minor, review_reason, created_at,
           updated_at,
           (SELECT string_agg(q.kind || ' ' || q.state, ', ' ORDER BY q.arrival) FROM order_request q
             WHERE q.order_number = orders.order_number AND q.state IN ('waiting', 'approval', 'taken')) AS asked
      FROM orders"""
_SINCE: Final[LiteralString] = """
    SELECT updated_at FROM orders JOIN (
      SELECT DISTINCT order_id FROM (
        SELECT order_id FROM event ORDER BY id DESC LIMIT 10 * %(limit)s) AS told) AS those USING (order_id)
     WHERE {} ORDER BY updated_at DESC OFFSET %(limit)s - 1 LIMIT 1"""
"""When the last but so many of those orders changed that were told of lately. Whatever changed last, so many orders
changed then or later: the list shows none that changed before.

A statement of its own, for the planner takes the index by the time of change (schema/listing.py) only if it knows the
time. Without that index the table is read, and the condition spares sorting it: it is nearly in order, so that almost
every row would be later than those before it, and would go into the sort.
"""
_IN_REVIEW: Final[LiteralString] = "order_id IN (SELECT order_id FROM review)"
"""All orders that came under review lately, or still are: few, where the table of orders has no index by status."""
_FOR_APPROVAL: Final[LiteralString] = """
    order_number IN (SELECT order_number FROM order_request WHERE state = 'approval')"""
_STOCK: Final[LiteralString] = """
    SELECT s.sku, s.available, s.reserved, s.sold, coalesce(a.adjusted, 0)::bigint AS adjusted
      FROM stock s LEFT JOIN (SELECT sku, sum(delta) AS adjusted FROM stock_adjustment GROUP BY sku) a USING (sku)
     WHERE %(sku)s::text IS NULL OR s.sku = %(sku)s ORDER BY s.sku"""
_ADJUSTMENTS: Final[LiteralString] = """
    SELECT adjusted_at, delta, "by", reason FROM stock_adjustment WHERE sku = %s ORDER BY id DESC LIMIT %s"""


@dataclass(frozen=True, slots=True)
class OrderRows:
    """All rows of one order, by column name, each kind in order of time. unsent: ids of events not sent yet.

    told: what the gateway told unasked, and was applied or waits to be.
    """

    order: Record
    attempts: Sequence[Record]
    operations: Sequence[Record]
    holds: Sequence[Record]
    events: Sequence[Record]
    notifications: Sequence[Record]
    dead_letters: Sequence[Record]
    resolutions: Sequence[Record]
    disputes: Sequence[Record]
    told: Sequence[Record]
    unsent: frozenset[int]
    requests: Sequence[Record] = ()


@contextmanager
def snapshot(url: str) -> Iterator[Reading]:
    """Open a read-only transaction: all its queries see the same state. url: as for conninfo_of."""
    with connect_now(url, row_factory=dict_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            for statement in _SETUP:
                connection.execute(statement)
            yield connection


def read_order(connection: Reading, order_id: str) -> OrderRows | None:
    """Read everything about this order; None if it does not exist."""
    order = connection.execute(_ORDER, [order_id]).fetchone()
    if order is None:
        return None
    numbered = {name: rows_of(connection, query, [order["order_number"]]) for name, query in _BY_NUMBER.items()}
    ids = [row["id"] for row in numbered["events"]]
    said = {"order_id": order_id, "events": [row["event_id"] for row in numbered["events"]]}
    return OrderRows(
        order=order,
        notifications=rows_of(connection, _NOTIFICATIONS, said),
        dead_letters=rows_of(connection, _LETTERS, [order_id.encode()]),
        resolutions=rows_of(connection, _RESOLUTIONS, [order_id]),
        told=rows_of(connection, _TOLD, [order_id]),
        unsent=frozenset(row["id"] for row in rows_of(connection, _UNSENT, [ids])),
        **numbered,
    )


def time_of(connection: Reading) -> datetime:
    """Return when this snapshot's transaction began, by the database's clock."""
    (row,) = rows_of(connection, "SELECT now() AS at", ())
    at: datetime = row["at"]
    return at


def last_resolution(connection: Reading, order_id: str) -> Record | None:
    """Read the last word of an operator on this order."""
    return next(iter(rows_of(connection, _RESOLUTIONS, [order_id])[-1:]), None)


def order_list(connection: Reading, status: str | None, limit: int, *, approval: bool = False) -> list[Record]:
    """Read the orders that changed last, newest first; only those of this status, if one is given.

    approval: only those with a request that waits for a second person.
    """
    conditions: list[LiteralString] = []
    if approval:
        conditions.append(_FOR_APPROVAL)
    if status is not None:
        conditions.append("status = %(status)s")
    if status == Status.MANUAL_REVIEW:
        conditions.append(_IN_REVIEW)
    chosen: LiteralString = " AND ".join(conditions) if conditions else "true"
    asked: dict[str, object] = {"status": status, "limit": limit}
    for row in rows_of(connection, _SINCE.format(chosen), asked):
        asked["since"] = row["updated_at"]
        chosen += " AND updated_at >= %(since)s"
    query = _LIST + f" WHERE {chosen} ORDER BY updated_at DESC, order_id LIMIT %(limit)s"
    return rows_of(connection, query, asked)


def stock_list(connection: Reading, sku: str | None) -> list[Record]:
    """Read the stock of all SKUs, or of one. Empty if that one is unknown.

    adjusted: the sum of what people put in; available, reserved and sold add up to it.
    """
    return rows_of(connection, _STOCK, {"sku": sku})


def adjustment_list(connection: Reading, sku: str, limit: int) -> list[Record]:
    """Read the last adjustments of one SKU, the newest first."""
    return rows_of(connection, _ADJUSTMENTS, [sku, limit])


def rows_of(connection: Reading, query: LiteralString, parameters: Collection[Any] | Mapping[str, Any]) -> list[Record]:
    """Run a query; return its rows."""
    return list(connection.execute(query, parameters).fetchall())  # type: ignore[arg-type]
