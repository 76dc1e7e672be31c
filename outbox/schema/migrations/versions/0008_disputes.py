"""Make room for disputes, and ask the gateway about the notices that nothing was done about.

It only adds; the release before may run on. Its notices get their time to be asked about from the default, as do those
that are there already.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TIME = postgresql.TIMESTAMP(timezone=True)
FATES = "waiting, woken, known, kept (the gateway is asked), applied, foreign, unknown_order"
FATES_BEFORE = "waiting, woken, known, kept (not applied yet), unknown_order"
TRY = "part of the idempotency key; below 0: made by somebody else, without a key"
TRY_BEFORE = "part of the idempotency key"


def upgrade() -> None:
    """Add the table of disputes, and a column and two small indexes to the notices."""
    op.create_table(
        "dispute",
        _c("order_number", sa.BigInteger(), "orders.order_number: what the rows of an order are found by"),
        _c("order_id", sa.Text(), "the order"),
        _c("dispute_id", sa.Text(), "the gateway's id; a payment may have several"),
        _c("attempt", sa.Integer(), "the attempt that paid"),
        _c("opened_at", TIME, "when, by the gateway's clock"),
        _c("status", sa.Text(), "the gateway's word, see domain.disputing"),
        _c("amount_minor", sa.BigInteger(), "what is disputed, minor units of the currency beside it"),
        _c("currency", sa.Text(), "ISO 4217"),
        _c("reason", sa.Text(), "the gateway's code"),
        _c("funds_withdrawn", sa.Boolean(), "the money has been taken from us and not given back"),
        _c("refundable", sa.Boolean(), "the payment may still be refunded; the gateway says so"),
        sa.Column("closed_at", TIME, comment="when we saw that it had ended; null while it is open"),
        _c("looked_at", TIME, "when the gateway was asked"),
        sa.Column(
            "told", sa.Text(), comment="what our events said last: OPEN, WITHDRAWN or the outcome; null: nothing yet"
        ),
        sa.PrimaryKeyConstraint("order_number", "dispute_id", name=op.f("dispute_pkey")),
        comment="One row a dispute of a payment, as the gateway had it when we looked last",
    )
    op.add_column(
        "gateway_notice",
        sa.Column(
            "ask_at",
            TIME,
            server_default=sa.text("now()"),
            comment="if it is kept: when the gateway is asked about it next",
        ),
    )
    op.create_index(
        "gateway_notice_ask_at_idx", "gateway_notice", ["ask_at"], postgresql_where=sa.text("fate = 'kept'")
    )
    op.create_index(
        "gateway_notice_order_id_idx",
        "gateway_notice",
        ["order_id"],
        postgresql_where=sa.text("fate IN ('kept', 'applied')"),
    )
    op.alter_column("gateway_notice", "fate", comment=FATES, existing_comment=FATES_BEFORE)
    op.alter_column("operation", "try_number", comment=TRY, existing_comment=TRY_BEFORE)


def _c(name: str, type_: object, comment: str, **options: object) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=False, **options)  # type: ignore[arg-type]


def downgrade() -> None:
    """Drop what was added."""
    op.alter_column("operation", "try_number", comment=TRY_BEFORE, existing_comment=TRY)
    op.alter_column("gateway_notice", "fate", comment=FATES_BEFORE, existing_comment=FATES)
    op.drop_index("gateway_notice_order_id_idx", "gateway_notice")
    op.drop_index("gateway_notice_ask_at_idx", "gateway_notice")
    op.drop_column("gateway_notice", "ask_at")
    op.drop_table("dispute")
