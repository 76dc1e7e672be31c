"""Say of the column `frozen` what it holds since then: the gateway's id of the customer, too.

It only changes a comment. The release before may run on.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BEFORE = "values of settings that enter its request, as they were when it was opened; null: none"
SINCE = "what else enters its request, as it was when it was opened: texts, URL, the gateway's id of the customer"


def upgrade() -> None:
    """Change the comment."""
    op.alter_column("operation", "frozen", comment=SINCE, existing_comment=BEFORE)


def downgrade() -> None:
    """Change it back."""
    op.alter_column("operation", "frozen", comment=BEFORE, existing_comment=SINCE)
