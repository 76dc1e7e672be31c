"""The tables, with the meaning of every column. Statements on the hot path are in outbox.statements, set-based."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

from outbox import aside_tables
from outbox.columns import Time, metadata
from outbox.columns import column as _c
from outbox.numbers import BLOCK

__all__ = ["aside_tables", "metadata"]

UNFINISHED_STATES = "state IN ('open', 'pending', 'unknown')"

order_numbers = sa.Sequence("order_number_seq", increment=BLOCK, metadata=metadata)
NUMBER = "orders.order_number: what the rows of an order are found by"

orders = sa.Table(
    "orders",
    metadata,
    _c("order_id", sa.Text, "checkout's id, 1 to 64 printable ASCII characters", primary_key=True),
    _c("status", sa.Text, "see domain.order.Status"),
    _c("version", sa.BigInteger, "raised by one by every decision that emits, without gaps"),
    _c("attempt", sa.Integer, "number of the attempt that counts, from 1"),
    _c("customer_id", sa.Text, "checkout's id of the customer"),
    _c("correlation_id", sa.Text, "the same for all events of the order"),
    _c("currency", sa.Text, "ISO 4217"),
    _c("total_minor", sa.BigInteger, "what the customer pays, in minor units"),
    _c("lines", JSONB, "[[sku, quantity], ...], a SKU once, sorted"),
    _c("content_hash", BYTEA, "SHA-256 over what makes two OrderConfirmed the same; kept for good"),
    _c("retryable", sa.Boolean, "failed, and another method may help"),
    _c("retry_until", Time, "a retry must have occurred before", nullable=True),
    _c("reviewed", sa.Text, "under manual review: the status before", nullable=True),
    _c("review_reason", sa.Text, "under manual review: why", nullable=True),
    _c("missing", JSONB, "[[sku, requested, available or null], ...] of the last failed reservation", nullable=True),
    _c("delay_notified", sa.Boolean, "the customer was told that it takes long"),
    _c("resends", sa.Integer, "how often the sweep sent the last event again"),
    _c("created_at", Time, "when we first saw it"),
    _c("updated_at", Time, "when anything of it last changed"),
    _c("order_number", sa.BigInteger, "ours, growing with time, with gaps: indexes of other tables begin with it"),
    comment="One row an order: the state that every decision locks first",
)
# No index on what changes: then an update stays on its page and touches no index at all.
sa.Index("orders_created_at_idx", orders.c.created_at, postgresql_using="brin")

attempts = sa.Table(
    "attempt",
    metadata,
    _c("order_id", sa.Text, "the order"),
    _c("attempt", sa.Integer, "from 1 within the order"),
    _c("method_kind", sa.Text, "CARD, WALLET, BANK, OTHER; NONE for an order without a total"),
    _c("token", sa.Text, "the gateway's opaque token of the method, erased once the attempt is over", nullable=True),
    _c("transaction_id", sa.Text, "the gateway's id of the transaction", nullable=True),
    _c("authorized_minor", sa.BigInteger, "minor units that the issuer approved"),
    _c("captured_minor", sa.BigInteger, "minor units that we took"),
    _c("refunded_minor", sa.BigInteger, "minor units that we gave back"),
    _c("voided", sa.Boolean, "the authorization is given up or has lapsed"),
    _c("authorization_expires_at", Time, "null if unknown", nullable=True),
    _c("captured_at", Time, "when the money was taken", nullable=True),
    _c("livemode", sa.Boolean, "false for play money"),
    _c("refund_id", sa.Text, "the gateway's id of the refund", nullable=True),
    _c("failure_code", sa.Text, "see domain.failure_codes", nullable=True),
    _c("order_number", sa.BigInteger, NUMBER),
    sa.PrimaryKeyConstraint("order_number", "attempt"),
    comment="One row a try with one payment method, and the money it moved",
)

operations = sa.Table(
    "operation",
    metadata,
    _c("order_id", sa.Text, "the order"),
    _c("attempt", sa.Integer, "the attempt"),
    _c("kind", sa.Text, "authorize, capture, void, refund; reserve, confirm, release"),
    _c("try_number", sa.Integer, "part of the idempotency key"),
    _c("operation_id", UUID, "uuid5 of order, attempt, kind and try"),
    _c("state", sa.Text, "open, approved, declined, pending, unknown, not_executed"),
    _c("reaction", sa.Text, "whose settle function decides on the outcome"),
    _c("causation_id", UUID, "the event that opened it", nullable=True),
    _c("amount_minor", sa.BigInteger, "minor units"),
    _c("currency", sa.Text, "ISO 4217"),
    _c("transaction_id", sa.Text, "the gateway's transaction it works on", nullable=True),
    _c("reference", sa.Text, "the gateway's id of what it made, a refund id", nullable=True),
    _c("tries", sa.Integer, "calls that had an answer, or were given up without one"),
    _c("opened_at", Time, "when it was planned; the key lives from here"),
    _c("due_at", Time, "end of the lease, or the time of the next try; null: not for the sweep", nullable=True),
    _c("unknown_since", Time, "since when we wait for an answer", nullable=True),
    _c("replayed", sa.Boolean, "the gateway repeats a stored failure: only look up"),
    _c("settled_at", Time, "when it was settled", nullable=True),
    _c("detail", sa.Text, "what the gateway said, for operators", nullable=True),
    _c("by", sa.Text, "the operator who settled it", nullable=True),
    _c("reason", sa.Text, "why the operator did", nullable=True),
    _c("order_number", sa.BigInteger, NUMBER),
    sa.PrimaryKeyConstraint("order_number", "attempt", "kind", "try_number"),
    comment="One row a call at the edge, owned by the row until it has a definite outcome",
)
# It holds the unfinished ones only, so the sweep reads all of it to find those that are due.
sa.Index(
    "operation_one_unfinished_key",
    operations.c.order_number,
    unique=True,
    postgresql_where=sa.text(f"{UNFINISHED_STATES} AND kind <> 'release'"),
)

reservations = sa.Table(
    "reservation",
    metadata,
    _c("order_id", sa.Text, "the order, whose lines it holds"),
    _c("attempt", sa.Integer, "the attempt"),
    _c("reservation_id", UUID, "uuid5 of order and attempt"),
    _c("state", sa.Text, "held, sold, released, expired"),
    _c("expires_at", Time, "when it runs out unless pinned"),
    _c("pinned", sa.Boolean, "a capture is under way: it cannot run out"),
    _c("order_number", sa.BigInteger, NUMBER),
    sa.PrimaryKeyConstraint("order_number", "attempt"),
    comment="One row a hold of one attempt",
)
sa.Index(
    "reservation_expires_at_idx",
    reservations.c.expires_at,
    postgresql_where=sa.text("state = 'held' AND NOT pinned"),
)

stock = sa.Table(
    "stock",
    metadata,
    _c("sku", sa.Text, "stock keeping unit", primary_key=True),
    _c("available", sa.BigInteger, "whole units free to reserve"),
    _c("reserved", sa.BigInteger, "whole units held"),
    _c("sold", sa.BigInteger, "whole units sold"),
    sa.CheckConstraint("available >= 0", name="available"),
    sa.CheckConstraint("reserved >= 0", name="reserved"),
    comment="Internal inventory: one row a SKU",
)

stock_adjustments = sa.Table(
    "stock_adjustment",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(cache=1), primary_key=True, comment="order of adjustments"),
    _c("sku", sa.Text, "stock keeping unit"),
    _c("delta", sa.BigInteger, "whole units put in (or, negative, taken out) by hand"),
    _c("adjusted_at", Time, "when", server_default=sa.text("now()")),
    _c("by", sa.Text, "who"),
    comment="What people did to the stock; the sum is available + reserved + sold",
)

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
    _c("order_number", sa.BigInteger, f"{NUMBER}; null: a dead letter", nullable=True),
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
    _c("stale", sa.Boolean, "recorded, not sent: too old when it came"),
    _c("recorded_at", Time, "when it was recorded", server_default=sa.text("now()")),
    comment="What customers were told",
)
