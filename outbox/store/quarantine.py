"""Quarantine in the database: what waits, and work that raised without a message.

A message that raised is a dead letter that `waits`. An operation, an order of the sweep and a message of the relay
(`relay/quarantine.py`) are rows of `quarantine`. An order waits while it has a waiting letter or a row that nobody has
released.
"""

from typing import Any, Final, LiteralString

import psycopg

from domain.ports.store import SetAside

LOCK: Final[LiteralString] = "SELECT pg_advisory_xact_lock(hashtext('payments.quarantine'))"
"""One transaction at a time adds to quarantine. So the count is right, and each order has one first entry."""
WAITING: Final[LiteralString] = """
    SELECT order_id FROM dead_letter WHERE waits AND order_id = ANY(%s)
    UNION SELECT order_id FROM quarantine WHERE released_at IS NULL AND order_id = ANY(%s)"""
"""Both look-ups are in partial indexes that are empty most of the time."""
IN_QUARANTINE: Final[LiteralString] = """
    SELECT order_id FROM dead_letter WHERE waits AND order_id IS NOT NULL
    UNION SELECT order_id FROM quarantine WHERE released_at IS NULL AND order_id IS NOT NULL"""
"""All orders that wait."""

_OPERATION: Final[LiteralString] = """
    WITH kept AS (
      UPDATE operation p SET due_at = NULL
        FROM orders o
       WHERE o.order_id = %(order_id)s AND p.order_number = o.order_number AND p.operation_id = %(operation_id)s
         AND p.state IN ('open', 'pending', 'unknown')
         AND NOT EXISTS (SELECT FROM quarantine q WHERE q.operation_id = p.operation_id AND q.released_at IS NULL)
      RETURNING p.order_number),
    -- Every change of an aggregate writes its order's row, so that whoever remembers the order reads it anew.
    touched AS (UPDATE orders SET updated_at = now() WHERE order_id = %(order_id)s AND EXISTS (SELECT FROM kept))
    INSERT INTO quarantine (kind, order_id, operation_id, detail, trace)
    SELECT 'operation', %(order_id)s, %(operation_id)s, %(detail)s, %(trace)s FROM kept
    RETURNING id"""
_ORDER: Final[LiteralString] = """
    INSERT INTO quarantine (kind, order_id, detail, trace)
    SELECT 'order', %(order_id)s, %(detail)s, %(trace)s
     WHERE NOT EXISTS (SELECT FROM quarantine
                        WHERE kind = 'order' AND order_id = %(order_id)s AND released_at IS NULL)
    RETURNING id"""
_STATEMENTS: Final = {"operation": _OPERATION, "order": _ORDER}


async def set_aside(connection: psycopg.AsyncConnection[Any], work: SetAside) -> int | None:
    """Put this work in quarantine; return the row's id, or None if it is finished or there already."""
    cursor = await connection.execute(_STATEMENTS[work.kind], work._asdict())
    row = await cursor.fetchone()
    return None if row is None else int(row[0])
