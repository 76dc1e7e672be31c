"""Keep a trace's context with each event and each operation, so that an order is one trace over all hops.

It only adds two columns that may be null. The release before may run on: it writes and sends none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

COMMENTS = {
    "event": "W3C trace context that is sent with it: traceparent, a blank, tracestate; null: none",
    "operation": "W3C trace context of what opened it, as event.trace_context; null: none",
}


def upgrade() -> None:
    """Add the columns."""
    for table, comment in COMMENTS.items():
        op.add_column(table, sa.Column("trace_context", sa.Text(), comment=comment, nullable=True))


def downgrade() -> None:
    """Drop them."""
    for table in COMMENTS:
        op.drop_column(table, "trace_context")
