"""What operators read of messages that came before their order, and wait for it."""

from typing import Final, LiteralString

from outbox.operators.queries import Reading, Record, rows_of

EARLY_MAX: Final = 20
"""So many are shown at most."""
_EARLY: Final[LiteralString] = """
    SELECT e.order_id, e.topic, e.event_id, e.received_at, e.give_up_at FROM early_message e
     WHERE NOT EXISTS (SELECT FROM orders o WHERE o.order_id = e.order_id)
       AND (%(order_id)s::text IS NULL OR e.order_id = %(order_id)s)
     ORDER BY e.id LIMIT %(limit)s"""


def early_list(connection: Reading, order_id: str | None = None, limit: int = EARLY_MAX) -> list[Record]:
    """Read messages whose order has not come, the oldest first; only those of this order, if one is given.

    topic: with its prefix. received_at, give_up_at: UTC; then it becomes a dead letter.
    """
    return rows_of(connection, _EARLY, {"order_id": order_id, "limit": limit})
