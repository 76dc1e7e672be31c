"""Make room for calls at an inventory elsewhere: how often a hold was extended.

It adds a column that may be null. The release before may run on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

KINDS = "authorize, capture, void, refund; reserve, confirm, release, extend, restock"
KINDS_BEFORE = "authorize, capture, void, refund; reserve, confirm, release, restock"
EXTENSIONS = "how often an inventory elsewhere was asked to hold them for longer; null: written before 0014"


def upgrade() -> None:
    """Add the column. The indexes of unfinished operations know extensions since 0013."""
    op.add_column("reservation", sa.Column("extensions", sa.Integer(), nullable=True, comment=EXTENSIONS))
    op.alter_column("operation", "kind", comment=KINDS, existing_comment=KINDS_BEFORE)


def downgrade() -> None:
    """Undo it."""
    op.alter_column("operation", "kind", comment=KINDS_BEFORE, existing_comment=KINDS)
    op.drop_column("reservation", "extensions")
