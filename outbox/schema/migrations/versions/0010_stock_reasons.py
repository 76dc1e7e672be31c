"""Keep why a person changed the stock, and find the changes of one SKU quickly.

It only adds a column that may be null, and an index; the release before may run on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("stock_adjustment", sa.Column("reason", sa.Text(), comment="why; null: not said"))
    op.create_index("stock_adjustment_sku_idx", "stock_adjustment", ["sku"])


def downgrade() -> None:
    """Undo it. The reasons are lost."""
    op.drop_index("stock_adjustment_sku_idx", "stock_adjustment")
    op.drop_column("stock_adjustment", "reason")
