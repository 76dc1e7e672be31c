"""Make room for messages to customers. It adds a table and a column that may be null; the release before may run on."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TIME = postgresql.TIMESTAMP(timezone=True)
STALE = "recorded, not sent: too old when it came"


def upgrade() -> None:
    """Add the table with its small indexes, and when a notification was sent."""
    op.create_table(
        "message",
        _c("event_id", sa.UUID(), "the event that asked for it: sent once"),
        _c("order_id", sa.Text(), "the order"),
        _c("customer_id", sa.Text(), "who is told; the address is never stored"),
        _c("kind", sa.Text(), "see schemas.events.NotificationKind"),
        _n("failure_code", sa.Text(), "why, see domain.failure_codes; null: nothing failed"),
        _c("text", sa.Text(), "the sentence that says why; empty: nothing failed"),
        _c("amount_minor", sa.BigInteger(), "minor units that it is about"),
        _c("currency", sa.Text(), "ISO 4217"),
        _c("money", sa.Text(), "see schemas.events.MoneyState"),
        _c("retryable", sa.Boolean(), "the customer may pay again"),
        _n("retry_until", TIME, "until then"),
        _n("missing", postgresql.JSONB(), "[[sku, requested, available or null], ...]"),
        _c("occurred_at", TIME, "when it was asked for"),
        _c("send_until", TIME, "afterwards it is stale"),
        _c("state", sa.Text(), "waiting, sent, stale, given_up"),
        _c("tries", sa.Integer(), "how often it was turned away"),
        _n("due_at", TIME, "end of the lease, or the time of the next try; null: done"),
        _n("error", sa.Text(), "why the last try failed; never an address"),
        _n("settled_at", TIME, "when it was sent, stale or given up"),
        _n("by", sa.Text(), "the operator who had it tried again"),
        _n("reason", sa.Text(), "why the operator did"),
        sa.PrimaryKeyConstraint("event_id", name=op.f("message_pkey")),
        comment="Messages to customers that wait to be sent, and those of the last days; not used by the notifier log",
    )
    op.create_index("message_due_at_idx", "message", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))
    op.create_index(
        "message_settled_at_idx", "message", ["settled_at"], postgresql_where=sa.text("state IN ('sent', 'stale')")
    )
    op.create_index("message_given_up_idx", "message", ["occurred_at"], postgresql_where=sa.text("state = 'given_up'"))
    op.create_index("message_order_id_idx", "message", ["order_id"])
    op.add_column("notification", _n("sent_at", TIME, "when its receiver took it; null: not sent, or by the log only"))
    op.alter_column(
        "notification",
        "stale",
        existing_type=sa.Boolean(),
        existing_comment=STALE,
        comment=f"{STALE}, or when its turn came",
    )


def _c(name: str, type_: object, comment: str) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=False)  # type: ignore[arg-type]


def _n(name: str, type_: object, comment: str) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=True)  # type: ignore[arg-type]


def downgrade() -> None:
    """Drop the table and the column."""
    op.alter_column(
        "notification",
        "stale",
        existing_type=sa.Boolean(),
        existing_comment=f"{STALE}, or when its turn came",
        comment=STALE,
    )
    op.drop_column("notification", "sent_at")
    op.drop_table("message")
