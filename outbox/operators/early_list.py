"""What operators read of messages that came before their order, and wait for it."""

from typing import Final

import sqlalchemy as sa

from outbox.operators.queries import Record
from outbox.schema.aside_tables import early_messages
from outbox.schema.tables import orders

EARLY_MAX: Final = 20
"""So many are shown at most."""
_E: Final = early_messages.c


def early_list(connection: sa.Connection, order_id: str | None = None, limit: int = EARLY_MAX) -> list[Record]:
    """Read messages whose order has not come, the oldest first; only those of this order, if one is given.

    topic: with its prefix. received_at, give_up_at: UTC; then it becomes a dead letter.
    """
    come = sa.select(orders.c.order_id).where(orders.c.order_id == _E.order_id).exists()
    wanted = (
        sa.select(_E.order_id, _E.topic, _E.event_id, _E.received_at, _E.give_up_at)
        .where(~come)
        .order_by(_E.id)
        .limit(limit)
    )
    if order_id is not None:
        wanted = wanted.where(_E.order_id == order_id)
    return [dict(row) for row in connection.execute(wanted).mappings()]
