"""Orders, attempts, operations, holds, stock, journal, outbox, inbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Orders, attempts, operations, holds, stock, journal, outbox, inbox."""
    op.create_table(
        "attempt",
        sa.Column("order_id", sa.Text(), nullable=False, comment="the order"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="from 1 within the order"),
        sa.Column(
            "method_kind",
            sa.Text(),
            nullable=False,
            comment="CARD, WALLET, BANK, OTHER; NONE for an order without a total",
        ),
        sa.Column(
            "token",
            sa.Text(),
            nullable=True,
            comment="the gateway's opaque token of the method, erased once the attempt is over",
        ),
        sa.Column("transaction_id", sa.Text(), nullable=True, comment="the gateway's id of the transaction"),
        sa.Column("authorized_minor", sa.BigInteger(), nullable=False, comment="minor units that the issuer approved"),
        sa.Column("captured_minor", sa.BigInteger(), nullable=False, comment="minor units that we took"),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False, comment="minor units that we gave back"),
        sa.Column("voided", sa.Boolean(), nullable=False, comment="the authorization is given up or has lapsed"),
        sa.Column(
            "authorization_expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="null if unknown"
        ),
        sa.Column(
            "captured_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="when the money was taken"
        ),
        sa.Column("livemode", sa.Boolean(), nullable=False, comment="false for play money"),
        sa.Column("refund_id", sa.Text(), nullable=True, comment="the gateway's id of the refund"),
        sa.Column("failure_code", sa.Text(), nullable=True, comment="see domain.failure_codes"),
        sa.PrimaryKeyConstraint("order_id", "attempt", name=op.f("attempt_pkey")),
        comment="One row a try with one payment method, and the money it moved",
    )
    op.create_table(
        "dead_letter",
        sa.Column("consumer_group", sa.Text(), nullable=False, comment="who could not process it"),
        sa.Column("topic", sa.Text(), nullable=False, comment="where it came from, with the prefix"),
        sa.Column("partition", sa.Integer(), nullable=False, comment="where it came from"),
        sa.Column("message_offset", sa.BigInteger(), nullable=False, comment="where it came from"),
        sa.Column("message_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="the message's timestamp"),
        sa.Column("key", postgresql.BYTEA(), nullable=True, comment="original key"),
        sa.Column("body", postgresql.BYTEA(), nullable=True, comment="original body, card numbers masked"),
        sa.Column("header_names", postgresql.ARRAY(sa.Text()), nullable=False, comment="original headers"),
        sa.Column(
            "header_values",
            postgresql.ARRAY(postgresql.BYTEA()),
            nullable=False,
            comment="original headers, card numbers masked",
        ),
        sa.Column("masked", sa.Boolean(), nullable=False, comment="card numbers were masked: it cannot be redriven"),
        sa.Column("reason", sa.Text(), nullable=False, comment="see schemas.rejection.Reason"),
        sa.Column("detail", sa.Text(), nullable=False, comment="what is wrong and what to do"),
        sa.Column(
            "first_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was refused",
        ),
        sa.PrimaryKeyConstraint(
            "consumer_group", "topic", "partition", "message_offset", name=op.f("dead_letter_pkey")
        ),
        comment="Messages that can never be processed, and why",
    )
    op.create_table(
        "event",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=False, cache=1),
            nullable=False,
            comment="for an order, order of commit",
        ),
        sa.Column("event_id", sa.UUID(), nullable=False, comment="uuid5 of order, version, ordinal and type"),
        sa.Column("order_id", sa.Text(), nullable=False, comment="the order; empty for a dead letter that names none"),
        sa.Column(
            "order_version",
            sa.BigInteger(),
            nullable=False,
            comment="the order's version that the decision made; 0 for a dead letter",
        ),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="place among the events of the decision, from 0"),
        sa.Column("topic", sa.Text(), nullable=False, comment="where it goes, with the prefix"),
        sa.Column("key", postgresql.BYTEA(), nullable=True, comment="message key"),
        sa.Column("body", postgresql.BYTEA(), nullable=True, comment="message body, encoded when appended"),
        sa.Column(
            "header_names",
            postgresql.ARRAY(sa.Text()),
            nullable=True,
            comment="null: the CloudEvents headers, made from this row",
        ),
        sa.Column(
            "header_values", postgresql.ARRAY(postgresql.BYTEA()), nullable=True, comment="null: as header_names"
        ),
        sa.Column(
            "occurred_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="the transaction's now()"
        ),
        sa.Column("causation_id", sa.UUID(), nullable=True, comment="the event that caused it"),
        sa.PrimaryKeyConstraint("id", name=op.f("event_pkey")),
        comment="Journal: every message we emit, append-only",
    )
    op.create_index("event_order_id_idx", "event", ["order_id"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("day", sa.Date(), nullable=False, comment="UTC day of the event's occurred_at: the partition"),
        sa.Column("consumer_group", sa.Text(), nullable=False, comment="who processed it"),
        sa.Column("event_id", sa.UUID(), nullable=False, comment="what was processed"),
        sa.PrimaryKeyConstraint("day", "consumer_group", "event_id", name=op.f("inbox_pkey")),
        comment="Events that a consumer group has processed; a second delivery has no effect",
        postgresql_partition_by="RANGE (day)",
    )
    op.create_table(
        "notification",
        sa.Column("event_id", sa.UUID(), nullable=False, comment="the event that asked for it: sent once"),
        sa.Column("order_id", sa.Text(), nullable=False, comment="the order"),
        sa.Column("customer_id", sa.Text(), nullable=False, comment="who is told"),
        sa.Column("kind", sa.Text(), nullable=False, comment="see schemas.events.NotificationKind"),
        sa.Column("text", sa.Text(), nullable=False, comment="what is told"),
        sa.Column("occurred_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="when it was asked for"),
        sa.Column("stale", sa.Boolean(), nullable=False, comment="recorded, not sent: too old when it came"),
        sa.Column(
            "recorded_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when it was recorded",
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("notification_pkey")),
        comment="What customers were told",
    )
    op.create_table(
        "operation",
        sa.Column("order_id", sa.Text(), nullable=False, comment="the order"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="the attempt"),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="authorize, capture, void, refund; reserve, confirm, release"
        ),
        sa.Column("try_number", sa.Integer(), nullable=False, comment="part of the idempotency key"),
        sa.Column("operation_id", sa.UUID(), nullable=False, comment="uuid5 of order, attempt, kind and try"),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="open, approved, declined, pending, unknown, not_executed"
        ),
        sa.Column("reaction", sa.Text(), nullable=False, comment="whose settle function decides on the outcome"),
        sa.Column("causation_id", sa.UUID(), nullable=True, comment="the event that opened it"),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False, comment="minor units"),
        sa.Column("currency", sa.Text(), nullable=False, comment="ISO 4217"),
        sa.Column("transaction_id", sa.Text(), nullable=True, comment="the gateway's transaction it works on"),
        sa.Column("reference", sa.Text(), nullable=True, comment="the gateway's id of what it made, a refund id"),
        sa.Column("tries", sa.Integer(), nullable=False, comment="calls made, or at least begun"),
        sa.Column(
            "opened_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="when it was planned; the key lives from here",
        ),
        sa.Column(
            "due_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="end of the lease, or the time of the next try; null: not for the sweep",
        ),
        sa.Column(
            "unknown_since",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="since when we wait for an answer",
        ),
        sa.Column(
            "replayed", sa.Boolean(), nullable=False, comment="the gateway repeats a stored failure: only look up"
        ),
        sa.Column("settled_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="when it was settled"),
        sa.Column("detail", sa.Text(), nullable=True, comment="what the gateway said, for operators"),
        sa.Column("by", sa.Text(), nullable=True, comment="the operator who settled it"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why the operator did"),
        sa.PrimaryKeyConstraint("order_id", "attempt", "kind", "try_number", name=op.f("operation_pkey")),
        comment="One row a call at the edge, owned by the row until it has a definite outcome",
    )
    op.create_index(
        "operation_one_unfinished_key",
        "operation",
        ["order_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('open', 'pending', 'unknown') AND kind <> 'release'"),
    )
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Text(), nullable=False, comment="checkout's id, 1 to 64 printable ASCII characters"),
        sa.Column("status", sa.Text(), nullable=False, comment="see domain.order.Status"),
        sa.Column(
            "version",
            sa.BigInteger(),
            nullable=False,
            comment="raised by one by every decision that emits, without gaps",
        ),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="number of the attempt that counts, from 1"),
        sa.Column("customer_id", sa.Text(), nullable=False, comment="checkout's id of the customer"),
        sa.Column("correlation_id", sa.Text(), nullable=False, comment="the same for all events of the order"),
        sa.Column("currency", sa.Text(), nullable=False, comment="ISO 4217"),
        sa.Column("total_minor", sa.BigInteger(), nullable=False, comment="what the customer pays, in minor units"),
        sa.Column(
            "lines",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="[[sku, quantity], ...], a SKU once, sorted",
        ),
        sa.Column(
            "content_hash",
            postgresql.BYTEA(),
            nullable=False,
            comment="SHA-256 over what makes two OrderConfirmed the same; kept for good",
        ),
        sa.Column("retryable", sa.Boolean(), nullable=False, comment="failed, and another method may help"),
        sa.Column(
            "retry_until",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="a retry must have occurred before",
        ),
        sa.Column("reviewed", sa.Text(), nullable=True, comment="under manual review: the status before"),
        sa.Column("review_reason", sa.Text(), nullable=True, comment="under manual review: why"),
        sa.Column(
            "missing",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="[[sku, requested, available or null], ...] of the last failed reservation",
        ),
        sa.Column("delay_notified", sa.Boolean(), nullable=False, comment="the customer was told that it takes long"),
        sa.Column("resends", sa.Integer(), nullable=False, comment="how often the sweep sent the last event again"),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="when we first saw it"),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="when anything of it last changed",
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("orders_pkey")),
        comment="One row an order: the state that every decision locks first",
    )
    op.create_index("orders_created_at_idx", "orders", ["created_at"], unique=False, postgresql_using="brin")
    op.create_table(
        "outbox",
        sa.Column(
            "id", sa.BigInteger(), autoincrement=False, nullable=False, comment="event.id of a message not yet sent"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("outbox_pkey")),
        comment="What the relay has still to send",
    )
    op.create_table(
        "reservation",
        sa.Column("order_id", sa.Text(), nullable=False, comment="the order, whose lines it holds"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="the attempt"),
        sa.Column("reservation_id", sa.UUID(), nullable=False, comment="uuid5 of order and attempt"),
        sa.Column("state", sa.Text(), nullable=False, comment="held, sold, released, expired"),
        sa.Column(
            "expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="when it runs out unless pinned"
        ),
        sa.Column("pinned", sa.Boolean(), nullable=False, comment="a capture is under way: it cannot run out"),
        sa.PrimaryKeyConstraint("order_id", "attempt", name=op.f("reservation_pkey")),
        comment="One row a hold of one attempt",
    )
    op.create_index(
        "reservation_expires_at_idx",
        "reservation",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'held' AND NOT pinned"),
    )
    op.create_table(
        "stock",
        sa.Column("sku", sa.Text(), nullable=False, comment="stock keeping unit"),
        sa.Column("available", sa.BigInteger(), nullable=False, comment="whole units free to reserve"),
        sa.Column("reserved", sa.BigInteger(), nullable=False, comment="whole units held"),
        sa.Column("sold", sa.BigInteger(), nullable=False, comment="whole units sold"),
        sa.CheckConstraint("available >= 0", name=op.f("stock_available_check")),
        sa.CheckConstraint("reserved >= 0", name=op.f("stock_reserved_check")),
        sa.PrimaryKeyConstraint("sku", name=op.f("stock_pkey")),
        comment="Internal inventory: one row a SKU",
    )
    op.create_table(
        "stock_adjustment",
        sa.Column(
            "id", sa.BigInteger(), sa.Identity(always=False, cache=1), nullable=False, comment="order of adjustments"
        ),
        sa.Column("sku", sa.Text(), nullable=False, comment="stock keeping unit"),
        sa.Column(
            "delta", sa.BigInteger(), nullable=False, comment="whole units put in (or, negative, taken out) by hand"
        ),
        sa.Column(
            "adjusted_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when",
        ),
        sa.Column("by", sa.Text(), nullable=False, comment="who"),
        sa.PrimaryKeyConstraint("id", name=op.f("stock_adjustment_pkey")),
        comment="What people did to the stock; the sum is available + reserved + sold",
    )
    # A queue's dead rows must go at once, or every look at its head wades through them.
    op.execute(
        "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, "
        "autovacuum_vacuum_cost_delay = 0)"
    )
    # Room on the page lets an update stay there.
    for table in ("orders", "attempt", "operation", "reservation"):
        op.execute(f"ALTER TABLE {table} SET (fillfactor = 70)")
    op.execute(
        "ALTER TABLE stock SET (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, "
        "autovacuum_vacuum_threshold = 1000)"
    )
    # Bodies are small and Avro hardly compresses.
    op.execute("ALTER TABLE event ALTER body SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Undo it."""
    op.drop_table("stock_adjustment")
    op.drop_table("stock")
    op.drop_index(
        "reservation_expires_at_idx",
        table_name="reservation",
        postgresql_where=sa.text("state = 'held' AND NOT pinned"),
    )
    op.drop_table("reservation")
    op.drop_table("outbox")
    op.drop_index("orders_created_at_idx", table_name="orders", postgresql_using="brin")
    op.drop_table("orders")
    op.drop_index(
        "operation_one_unfinished_key",
        table_name="operation",
        postgresql_where=sa.text("state IN ('open', 'pending', 'unknown') AND kind <> 'release'"),
    )
    op.drop_table("operation")
    op.drop_table("notification")
    op.drop_table("inbox")
    op.drop_index("event_order_id_idx", table_name="event")
    op.drop_table("event")
    op.drop_table("dead_letter")
    op.drop_table("attempt")
