"""SQLAlchemy's tables, with the meaning of every column. mapping.py declares those that keep values of the domain."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

from outbox.schema import aside_tables, release_tables
from outbox.schema.columns import Time, metadata
from outbox.schema.columns import column as _c
from outbox.schema.mapping import (
    ATTEMPTS,
    BESIDE,
    BLOCK,
    DISPUTES,
    HOLDS,
    NUMBER,
    ONE_AT_A_TIME,
    OPERATIONS,
    ORDERS,
    REQUESTS,
)
from outbox.schema.table import Table

__all__ = ["aside_tables", "metadata", "release_tables"]


order_numbers = sa.Sequence("order_number_seq", increment=BLOCK, metadata=metadata)
_TYPES: dict[str, Any] = {
    "text": sa.Text,
    "bigint": sa.BigInteger,
    "integer": sa.Integer,
    "boolean": sa.Boolean,
    "bytea": BYTEA,
    "uuid": UUID,
    "jsonb": JSONB,
    "timestamptz": Time,
}


def _table(mapped: Table[Any], comment: str) -> sa.Table:
    """Make SQLAlchemy's table from a declaration."""
    columns = [_c(c.name, _TYPES[c.type], c.comment, nullable=c.nullable) for c in mapped.columns]
    key = sa.PrimaryKeyConstraint(*mapped.key)
    return sa.Table(mapped.name, metadata, *columns, key, comment=comment)


orders = _table(ORDERS, "One row an order: the state that every decision locks first")
# No index on columns that change: so an update stays on its page and writes no index. See listing.py for the exception.
sa.Index("orders_created_at_idx", orders.c.created_at, postgresql_using="brin")

attempts = _table(ATTEMPTS, "One row a try with one payment method, and the money it moved")
operations = _table(OPERATIONS, "One row a call at the edge, owned by the row until it has a definite outcome")
# These two have only the unfinished operations, so the sweep can read all of them to find those that are due.
sa.Index(
    "operation_one_unfinished_key", operations.c.order_number, unique=True, postgresql_where=sa.text(ONE_AT_A_TIME)
)
sa.Index("operation_beside_idx", operations.c.order_number, postgresql_where=sa.text(BESIDE))

reservations = _table(HOLDS, "One row a hold of one attempt")
sa.Index(
    "reservation_expires_at_idx",
    reservations.c.expires_at,
    postgresql_where=sa.text("state = 'held' AND NOT pinned"),
)

disputes = _table(DISPUTES, "One row a dispute of a payment, as the gateway had it when we looked last")

requests = _table(REQUESTS, "One row a request to cancel an order or to give back some of its money")
sa.Index("order_request_approval_idx", requests.c.noted_at, postgresql_where=sa.text("state = 'approval'"))

stock = sa.Table(
    "stock",
    metadata,
    _c("sku", sa.Text, "stock keeping unit", primary_key=True),
    _c("available", sa.BigInteger, "whole units free to reserve"),
    _c("reserved", sa.BigInteger, "whole units held"),
    _c("sold", sa.BigInteger, "whole units sold"),
    _c(
        "era", sa.Integer, "grows every 32 changes: look-ups find the newest version by it", server_default=sa.text("0")
    ),
    _c("moves", sa.Integer, "changes in this era, from 0", server_default=sa.text("0")),
    sa.CheckConstraint("available >= 0", name="available"),
    sa.CheckConstraint("reserved >= 0", name="reserved"),
    comment="Internal inventory: one row a SKU",
)

# By the bytes of the SKU, see migration 0021. What compares tables with databases reads no collation of an index, so it
# stands where an operator class would.
sa.Index("stock_sku_era_idx", stock.c.sku, stock.c.era, postgresql_ops={"sku": 'COLLATE "C"'})

stock_adjustments = sa.Table(
    "stock_adjustment",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(cache=1), primary_key=True, comment="order of adjustments"),
    _c("sku", sa.Text, "stock keeping unit"),
    _c("delta", sa.BigInteger, "whole units put in (or, negative, taken out)"),
    _c("adjusted_at", Time, "when", server_default=sa.text("now()")),
    _c("by", sa.Text, "who"),
    _c("reason", sa.Text, "why; null: not said", nullable=True),
    _c("event_id", UUID, "the warehouse's event; null: a person did it", nullable=True),
    comment="What people and warehouses did to the stock; the sum is available + reserved + sold",
)
sa.Index("stock_adjustment_sku_idx", stock_adjustments.c.sku)

inbox = sa.Table(
    "inbox",
    metadata,
    _c("day", sa.Date, "UTC day of the event's occurred_at: the partition"),
    _c("consumer_group", sa.Text, "who processed it"),
    _c("event_id", UUID, "what was processed"),
    _c(
        "content",
        sa.BigInteger,
        "64 bits of a hash of order id and content; null: written before 0004",
        nullable=True,
    ),
    sa.PrimaryKeyConstraint("event_id", "consumer_group", "day"),
    postgresql_partition_by="RANGE (day)",
    comment="Events that a consumer group has processed; a second delivery has no effect",
)

events = sa.Table(
    "event",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(cache=1), primary_key=True, comment="for an order, order of commit"),
    _c("event_id", UUID, "uuid5 of order, version, ordinal and type"),
    _c("order_id", sa.Text, "the order; empty for a dead letter that names none"),
    _c("order_version", sa.BigInteger, "the order's version that the decision made; 0 for a dead letter"),
    _c("ordinal", sa.Integer, "place among the events of the decision, from 0"),
    _c("topic", sa.Text, "where it goes, with the prefix"),
    _c("key", BYTEA, "message key of a dead letter; that of our events is the order id", nullable=True),
    _c("body", BYTEA, "message body, encoded when appended", nullable=True),
    _c("header_names", ARRAY(sa.Text), "null: the CloudEvents headers, made from this row", nullable=True),
    _c("header_values", ARRAY(BYTEA), "null: as header_names", nullable=True),
    _c("occurred_at", Time, "the transaction's now()"),
    _c("causation_id", UUID, "the event that caused it", nullable=True),
    _c("order_number", sa.BigInteger, f"{NUMBER.comment}; null: a dead letter", nullable=True),
    _c(
        "trace_context",
        sa.Text,
        "W3C trace context that is sent with it: traceparent, a blank, tracestate; null: none",
        nullable=True,
    ),
    comment="Journal: every message we emit, append-only",
)
sa.Index("event_order_number_idx", events.c.order_number)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(cache=1), primary_key=True, comment="for an order, order of commit"),
    _c("event_ids", ARRAY(sa.BigInteger), "event.id of messages of one transaction not yet sent, growing"),
    comment="What the relay has still to send",
)

notifications = sa.Table(
    "notification",
    metadata,
    _c("event_id", UUID, "the event that asked for it: sent once", primary_key=True),
    _c("order_id", sa.Text, "the order"),
    _c("customer_id", sa.Text, "who is told"),
    _c("kind", sa.Text, "see schemas.events.NotificationKind"),
    _c("text", sa.Text, "what is told"),
    _c("occurred_at", Time, "when it was asked for"),
    _c("stale", sa.Boolean, "recorded, not sent: too old when it came, or when its turn came"),
    _c("recorded_at", Time, "when it was recorded", server_default=sa.text("now()")),
    _c("sent_at", Time, "when its receiver took it; null: not sent, or by the log only", nullable=True),
    comment="What customers were told",
)
