"""Keep when a request was asked for: what it opens long afterwards is looked up before it is sent.

A restored database notes an old request anew, and its refund may have been made. It only adds a column that may be
null. The release before may run on: of what it notes, the time when it was noted counts.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COMMENT = "when it was asked for, as its event says; null: before 0020"


def upgrade() -> None:
    """Add the column."""
    column = sa.Column("asked_at", sa.TIMESTAMP(timezone=True), comment=COMMENT, nullable=True)
    op.add_column("order_request", column)


def downgrade() -> None:
    """Drop it."""
    op.drop_column("order_request", "asked_at")
