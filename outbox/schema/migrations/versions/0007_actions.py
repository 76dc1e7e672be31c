"""Make room for how long a customer may confirm a payment. It only adds a column; the release before may run on.

An older release keeps the value of the rows that it changes, because it writes only the columns that it knows.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Without a default it rewrites no row."""
    op.add_column(
        "attempt",
        sa.Column(
            "action_expires_at",
            postgresql.TIMESTAMP(timezone=True),
            comment="until when the customer may confirm it; null: never asked",
            nullable=True,
        ),
    )


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("attempt", "action_expires_at")
