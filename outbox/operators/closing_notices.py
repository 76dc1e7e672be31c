"""An operator's word that nothing more is to be booked of what the gateway told about an order."""

from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg.rows import class_row

from domain.notices import RING_AFTER
from outbox.driver.conninfo import connect_now

CLOSED: Final = "closed"
"""The operator's word, as kept with the order."""
_NAMED_MAX: Final = 5
_WAIT_S: Final = 5
_PATIENCE: Final[LiteralString] = "SELECT set_config('lock_timeout', %s, true)"
_ORDER: Final[LiteralString] = "SELECT status FROM orders WHERE order_id = %s FOR UPDATE"
_UNDER_WAY: Final[LiteralString] = """
    SELECT p.kind FROM orders o JOIN operation p USING (order_number)
     WHERE o.order_id = %s
       AND (p.state IN ('open', 'unknown') OR (p.state = 'pending' AND p.kind <> 'refund')) LIMIT 1"""
_CLOSE: Final[LiteralString] = """
    UPDATE gateway_notice SET fate = 'known', ask_at = NULL
     WHERE order_id = %s AND fate = 'kept' AND received_at <= now() - %s
    RETURNING notice_id, type, object_id, intent_id AS transaction_id"""
_SAY: Final[LiteralString] = """
    INSERT INTO resolution (order_id, review_reason, word, reference, reason, by)
    VALUES (%s, 'notice_kept', %s, %s, %s, %s)"""


class Closed(NamedTuple):
    """A notice that is not asked about any more. object_id: the gateway's id of what it is about."""

    notice_id: str
    type: str
    object_id: str
    transaction_id: str | None


def close_notices(url: str, order_id: str, reason: str, by: str) -> list[Closed] | str:
    """Close the notices of an order that have led nowhere for a day; keep who said so, and why. The books stay.

    Return a text if that is refused: why, and what to do. It waits a moment for the order's row. Raises
    psycopg's Error.
    """
    with connect_now(url) as connection:
        connection.execute(_PATIENCE, [f"{_WAIT_S}s"])
        refusal = _refusal(connection, order_id)
        if refusal is not None:
            return refusal
        with connection.cursor(row_factory=class_row(Closed)) as cursor:
            closed = sorted(cursor.execute(_CLOSE, [order_id, RING_AFTER]).fetchall())
        if not closed:
            return (
                f"order {order_id} has no notice that has led nowhere for a day: younger ones are asked about by the "
                "sweep"
            )
        about = ", ".join(dict.fromkeys(notice.object_id for notice in closed[:_NAMED_MAX]))
        connection.execute(_SAY, [order_id, CLOSED, about, reason, by])
    return closed


def _refusal(connection: psycopg.Connection[Any], order_id: str) -> str | None:
    row = connection.execute(_ORDER, [order_id]).fetchone()
    if row is None:
        return f"there is no order {order_id}: `payments order list` shows them"
    if row[0] == "manual_review":
        return f"order {order_id} is under review: end that first, with `payments order resolve {order_id}`"
    call = connection.execute(_UNDER_WAY, [order_id]).fetchone()
    if call is not None:
        return f"a {call[0]} of order {order_id} is under way: its end comes first, and what was told is then booked"
    return None
