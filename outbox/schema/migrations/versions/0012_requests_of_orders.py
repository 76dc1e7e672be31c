"""Keep requests to cancel an order or to give back some of its money, and messages that came before their order.

It adds tables and columns that may be null; the release before may run on, as long as nobody asks for a cancel.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TIME = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Add the tables and the columns."""
    op.create_table(
        "order_request",
        _c("order_number", sa.BigInteger(), "orders.order_number: what the rows of an order are found by"),
        _c("order_id", sa.Text(), "the order"),
        _c("request_id", sa.Text(), "the id that upstream or the operator gave it"),
        _c("kind", sa.Text(), "cancel, refund"),
        _c("arrival", sa.Integer(), "place among the requests of its order, from 1"),
        _c("content_hash", postgresql.BYTEA(), "SHA-256 of what was asked for"),
        _c("noted_at", TIME, "when we first saw it"),
        _c("reason", sa.Text(), "why, as it was asked for"),
        _c("requested_by", sa.Text(), "who asked, as upstream or the operator says"),
        _n("operator", sa.Text(), "the OS user or database role behind a command; null: upstream asked"),
        _n("causation_id", sa.UUID(), "the event that asked; null: a command"),
        _n("amount_minor", sa.BigInteger(), "of a refund, minor units; null: all that is kept"),
        _c("lines", postgresql.JSONB(), "[[sku, quantity], ...] to be restocked"),
        _c("state", sa.Text(), "waiting, approval, taken, done, refused"),
        _n("taken_minor", sa.BigInteger(), "what it was taken for, minor units; null: not yet"),
        _n("refused", sa.Text(), "why it was refused, as the event says"),
        _n("approved_by", sa.Text(), "the OS user or database role that approved it"),
        _n("approved_at", TIME, "when it was approved"),
        _n("taken_at", TIME, "when it was taken"),
        _n("ended_at", TIME, "when it was done or refused"),
        sa.PrimaryKeyConstraint("order_number", "request_id", "kind", name=op.f("order_request_pkey")),
        comment="One row a request to cancel an order or to give back some of its money",
    )
    op.create_table(
        "early_message",
        sa.Column("id", sa.BigInteger(), sa.Identity(cache=1), nullable=False, comment="order of arrival"),
        _c("consumer_group", sa.Text(), "who waits for the order"),
        _c("topic", sa.Text(), "where it came from, with the prefix"),
        _c("partition", sa.Integer(), "where it came from"),
        _c("message_offset", sa.BigInteger(), "where it came from"),
        _c("message_at", sa.BigInteger(), "the message's timestamp, milliseconds since 1970"),
        _n("key", postgresql.BYTEA(), "original key"),
        _n("body", postgresql.BYTEA(), "original body"),
        _c("header_names", postgresql.ARRAY(sa.Text()), "original headers"),
        _c("header_values", postgresql.ARRAY(postgresql.BYTEA()), "original headers"),
        _c("event_id", sa.UUID(), "the event"),
        _c("order_id", sa.Text(), "the order that it waits for"),
        sa.Column("received_at", TIME, server_default=sa.text("now()"), nullable=False, comment="when it came"),
        _c("look_at", TIME, "when its order is looked for next"),
        _c("give_up_at", TIME, "when it becomes a dead letter"),
        sa.PrimaryKeyConstraint("id", name=op.f("early_message_pkey")),
        comment="Messages that came before their order, and wait for it",
    )
    op.create_index("early_message_order_id_idx", "early_message", ["order_id"])
    op.create_index("early_message_look_at_idx", "early_message", ["look_at"])
    op.add_column("orders", _n("requests", sa.Integer(), "rows of order_request; null: none, written before 0012"))
    op.add_column("orders", _n("paid_at", TIME, "when PaidAndConfirmed was said; null: it was not, or before 0012"))
    op.add_column("orders", _n("preparation_started_at", TIME, "when order preparation told us that it began"))
    op.add_column("orders", _n("disputed", sa.Boolean(), "the gateway refuses refunds because of a dispute"))
    op.execute(
        "UPDATE orders SET disputed = true"
        " WHERE order_number IN (SELECT order_number FROM dispute WHERE NOT refundable)"
    )


def downgrade() -> None:
    """Drop them. Requests are lost; cancelled orders cannot be read by the release before."""
    for name in ("disputed", "preparation_started_at", "paid_at", "requests"):
        op.drop_column("orders", name)
    op.drop_table("early_message")
    op.drop_table("order_request")


def _c(name: str, type_: object, comment: str) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=False)  # type: ignore[arg-type]


def _n(name: str, type_: object, comment: str) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=True)  # type: ignore[arg-type]
