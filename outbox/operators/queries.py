"""What operators read of orders and stock, each answer from one snapshot.

Tokens, and the gateway's ids of customers, are never read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from outbox.driver.engine import engine_for
from outbox.schema.aside_tables import dead_letters, gateway_notices, messages, resolutions
from outbox.schema.tables import (
    attempts,
    disputes,
    events,
    notifications,
    operations,
    orders,
    outbox,
    requests,
    reservations,
    stock,
    stock_adjustments,
)

Record = Mapping[str, Any]

_ORDER: Final = [c for c in orders.c if c.name != "content_hash"]
_ATTEMPT: Final = [c for c in attempts.c if c.name != "token"]
_OPERATION: Final = [c for c in operations.c if c.name != "frozen"]
_ASKED: Final = (
    sa.select(sa.func.string_agg(requests.c.kind + " " + requests.c.state, sa.text("', ' ORDER BY arrival")))
    .where(requests.c.order_number == orders.c.order_number, requests.c.state.in_(("waiting", "approval", "taken")))
    .scalar_subquery()
    .label("asked")
)
_IN_LIST: Final = (
    orders.c.order_id,
    orders.c.status,
    orders.c.version,
    orders.c.attempt,
    orders.c.customer_id,
    orders.c.currency,
    orders.c.total_minor,
    orders.c.review_reason,
    orders.c.created_at,
    orders.c.updated_at,
    _ASKED,
)

_SAID: Final = (gateway_notices.c.type, gateway_notices.c.object_id, gateway_notices.c.fate)
"""What is told of one object many times is shown once, as of the first time."""
_TOLD: Final = sa.text("fate IN ('kept', 'applied')")
"""As the index has it."""


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
def snapshot(url: str) -> Iterator[sa.Connection]:
    """Open a read-only transaction: all its queries see the same state. url: postgresql+psycopg://..."""
    engine = engine_for(url)
    try:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as found:
            # Within the transaction: a pooler accepts no options, and its sessions are not ours.
            found.execute(sa.text("SET LOCAL timezone = 'UTC'"))
            yield found
    finally:
        engine.dispose()


def read_order(connection: sa.Connection, order_id: str) -> OrderRows | None:
    """Read everything about this order; None if it does not exist."""
    found = _all(connection, sa.select(*_ORDER).where(orders.c.order_id == order_id))
    if not found:
        return None
    number = found[0]["order_number"]
    journal = _all(connection, sa.select(events).where(events.c.order_number == number).order_by(events.c.id))
    ids = [row["id"] for row in journal]
    return OrderRows(
        order=found[0],
        attempts=_all(
            connection, sa.select(*_ATTEMPT).where(attempts.c.order_number == number).order_by(attempts.c.attempt)
        ),
        operations=_all(
            connection,
            sa.select(*_OPERATION)
            .where(operations.c.order_number == number)
            .order_by(operations.c.opened_at, operations.c.attempt, operations.c.try_number, operations.c.kind),
        ),
        holds=_all(
            connection,
            sa.select(reservations).where(reservations.c.order_number == number).order_by(reservations.c.attempt),
        ),
        events=journal,
        notifications=_all(connection, _notifications_of(order_id)),
        dead_letters=_all(
            connection,
            sa.select(
                *(c for c in dead_letters.c if c.name not in {"body", "original", "header_names", "header_values"})
            )
            .where(dead_letters.c.key == order_id.encode())
            .order_by(dead_letters.c.first_at, dead_letters.c.message_offset),
        ),
        resolutions=_all(connection, _resolutions_of(order_id)),
        disputes=_all(
            connection,
            sa.select(disputes)
            .where(disputes.c.order_number == number)
            .order_by(disputes.c.opened_at, disputes.c.dispute_id),
        ),
        requests=_all(
            connection,
            sa.select(*(c for c in requests.c if c.name != "content_hash"))
            .where(requests.c.order_number == number)
            .order_by(requests.c.arrival),
        ),
        told=_all(
            connection,
            sa.select(*_SAID, sa.func.min(gateway_notices.c.received_at).label("received_at"))
            .where(gateway_notices.c.order_id == order_id, _TOLD)
            .group_by(*_SAID)
            .order_by("received_at", *_SAID),
        ),
        unsent=frozenset(ids).intersection(
            connection.execute(sa.select(sa.func.unnest(outbox.c.event_ids)).where(outbox.c.event_ids.overlap(ids)))
            .scalars()
            .all()
        ),
    )


def _notifications_of(order_id: str) -> sa.Select[Any]:
    """Select what the customer was to be told, with what became of sending it; state is null if it was never sent."""
    of_sending = (messages.c.state, messages.c.tries, messages.c.due_at, messages.c.error, messages.c.settled_at)
    return (
        sa.select(notifications, *of_sending)
        .select_from(notifications.outerjoin(messages, messages.c.event_id == notifications.c.event_id))
        .where(notifications.c.order_id == order_id)
        .order_by(notifications.c.recorded_at, notifications.c.event_id)
    )


def time_of(connection: sa.Connection) -> datetime:
    """Return when this snapshot's transaction began, by the database's clock."""
    at: datetime = connection.execute(sa.select(sa.func.now())).scalar_one()
    return at


def last_resolution(connection: sa.Connection, order_id: str) -> Record | None:
    """Read the last word of an operator on this order."""
    return next(iter(_all(connection, _resolutions_of(order_id))[-1:]), None)


def _resolutions_of(order_id: str) -> sa.Select[Any]:
    return sa.select(resolutions).where(resolutions.c.order_id == order_id).order_by(resolutions.c.id)


def order_list(connection: sa.Connection, status: str | None, limit: int, *, approval: bool = False) -> list[Record]:
    """Read the orders that changed last, newest first; only those of this status, if one is given.

    approval: only those with a request that waits for a second person.
    """
    wanted = sa.select(*_IN_LIST).order_by(orders.c.updated_at.desc(), orders.c.order_id).limit(limit)
    if approval:
        waiting = sa.select(requests.c.order_number).where(requests.c.state == sa.literal_column("'approval'"))
        wanted = wanted.where(orders.c.order_number.in_(waiting))
    return _all(connection, wanted if status is None else wanted.where(orders.c.status == status))


def stock_list(connection: sa.Connection, sku: str | None) -> list[Record]:
    """Read the stock of all SKUs, or of one. Empty if that one is unknown.

    adjusted: the sum of what people put in; available, reserved and sold add up to it.
    """
    sums = (
        sa.select(stock_adjustments.c.sku, sa.func.sum(stock_adjustments.c.delta).label("adjusted"))
        .group_by(stock_adjustments.c.sku)
        .subquery()
    )
    adjusted = sa.cast(sa.func.coalesce(sums.c.adjusted, 0), sa.BigInteger).label("adjusted")
    wanted = (
        sa.select(stock, adjusted).select_from(stock.outerjoin(sums, sums.c.sku == stock.c.sku)).order_by(stock.c.sku)
    )
    return _all(connection, wanted if sku is None else wanted.where(stock.c.sku == sku))


def adjustment_list(connection: sa.Connection, sku: str, limit: int) -> list[Record]:
    """Read the last adjustments of one SKU, the newest first."""
    wanted = sa.select(
        stock_adjustments.c.adjusted_at, stock_adjustments.c.delta, stock_adjustments.c.by, stock_adjustments.c.reason
    ).where(stock_adjustments.c.sku == sku)
    return _all(connection, wanted.order_by(stock_adjustments.c.id.desc()).limit(limit))


def _all(connection: sa.Connection, query: sa.Select[Any]) -> list[Record]:
    return [dict(row) for row in connection.execute(query).mappings()]
