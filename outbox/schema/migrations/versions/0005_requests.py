"""Keep with an operation what its request is made from, and the gateway's id of the last request about it.

It only adds columns that may be null. The release before may run on meanwhile: its rows are of the first format.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for column in (
        sa.Column(
            "request_format",
            sa.Integer(),
            comment="how its request is made from this row, see domain.operation; null: written before 0005",
        ),
        sa.Column(
            "frozen",
            postgresql.JSONB(),
            comment="values of settings that enter its request, as they were when it was opened; null: none",
        ),
        sa.Column("request_id", sa.Text(), comment="the gateway's id of the last request about it that had an answer"),
    ):
        op.add_column("operation", column)


def downgrade() -> None:
    """Undo it. What was frozen is lost: a call that had it is refused if it comes again, and then only looked up."""
    for name in ("request_id", "frozen", "request_format"):
        op.drop_column("operation", name)
