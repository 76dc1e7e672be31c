"""Keep requests to cancel an order or to give back some of its money.

It adds a table and columns that may be null; the release before may run on, as long as nobody asks for a cancel.
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
    """Add the table and the columns."""
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
    op.add_column("orders", _n("requests", sa.Integer(), "rows of order_request; null: none, written before 0012"))
    op.add_column("orders", _n("paid_at", TIME, "when PaidAndConfirmed was said; null: it was not, or before 0012"))
    op.add_column("orders", _n("preparation_started_at", TIME, "when order preparation told us that it began"))


def downgrade() -> None:
    """Drop them. Requests are lost; cancelled orders cannot be read by the release before."""
    for name in ("preparation_started_at", "paid_at", "requests"):
        op.drop_column("orders", name)
    op.drop_table("order_request")


def _c(name: str, type_: object, comment: str) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=False)  # type: ignore[arg-type]


def _n(name: str, type_: object, comment: str) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=True)  # type: ignore[arg-type]
