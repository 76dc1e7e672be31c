"""Make room for what is watched: audits of changed orders, open reviews, and when an order came onto its topic.

It only adds two tables and a column that may be null. The release before may run on; its orders have no such time, and
the next audit notes its reviews.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TIME = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Add them, and note the reviews that are open."""
    op.add_column("orders", _n("confirmed_at", TIME, "when its OrderConfirmed came onto its topic; null: before 0016"))
    op.create_table(
        "audit_run",
        sa.Column("id", sa.BigInteger(), sa.Identity(cache=1), nullable=False, comment="order of the runs"),
        sa.Column("began_at", TIME, server_default=sa.text("now()"), nullable=False, comment="when it began"),
        _c("lease_until", TIME, "from then on another may run, if this one has not ended"),
        _n("ended_at", TIME, "when it ended; null: it has not, or its process is gone"),
        _c("newest_event", sa.BigInteger(), "the largest event.id when it began"),
        _c("newest_xid", sa.BigInteger(), "the next transaction id when it began: that event's transaction is older"),
        _c("after_event", sa.BigInteger(), "it looks at the orders of later events"),
        _c("through_event", sa.BigInteger(), "up to this one"),
        _n("reaches_to", TIME, "what changed before was looked at, by this run or an earlier one"),
        _n("orders", sa.Integer(), "how many orders it looked at"),
        _n("found", postgresql.JSONB(), "violations by the number of the invariant"),
        _n("examples", postgresql.ARRAY(sa.Text()), "the first of them, a line each"),
        _n("again", postgresql.ARRAY(sa.Text()), "orders that the next run looks at, too: broken ones, unsettled ones"),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_run_pkey")),
        comment="Audits of the orders that changed, of the last days",
    )
    op.create_table(
        "review",
        _c("order_id", sa.Text(), "an order that came under review; see orders.status whether it still is"),
        sa.Column("since", TIME, server_default=sa.text("now()"), nullable=False, comment="when it came under review"),
        sa.PrimaryKeyConstraint("order_id", name=op.f("review_pkey")),
        comment="Where to look for open reviews: an index on the status would be written at every step of an order",
    )
    op.execute(
        "INSERT INTO review (order_id, since) SELECT order_id, updated_at FROM orders WHERE status = 'manual_review'"
    )


def _c(name: str, type_: object, comment: str) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=False)  # type: ignore[arg-type]


def _n(name: str, type_: object, comment: str) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=True)  # type: ignore[arg-type]


def downgrade() -> None:
    """Drop them."""
    op.drop_table("review")
    op.drop_table("audit_run")
    op.drop_column("orders", "confirmed_at")
