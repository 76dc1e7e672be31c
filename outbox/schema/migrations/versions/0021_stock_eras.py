"""Find a stock row's newest version at once, though somebody holds a snapshot and all older versions stay.

It only adds two columns and an index. The release before may run on: its changes are not counted, and stay in the era
that the row has. A column with a constant default writes no row anew. The index is built while changes of stock wait:
a second or two for a million SKUs.
"""

import sqlalchemy as sa
from alembic import op

from outbox.schema.migrations.writers import wait_for_writers

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

COMMENTS = {
    "era": "grows every 32 changes: look-ups find the newest version by it",
    "moves": "changes in this era, from 0",
}
INDEX = "stock_sku_era_idx"


def upgrade() -> None:
    """Add them."""
    wait_for_writers("stock")
    for name, comment in COMMENTS.items():
        op.add_column(
            "stock", sa.Column(name, sa.Integer(), server_default=sa.text("0"), comment=comment, nullable=False)
        )
    # By bytes: no plan can take the primary key in its place, and no database sorts it by a language.
    op.create_index(INDEX, "stock", [sa.text('sku COLLATE "C"'), "era"])
    # A version that leaves its page writes to every index, and the primary key then looks at all older ones. On an
    # emptier page it stays twice as long. Rows that are there stay where they are until they change.
    op.execute("ALTER TABLE stock SET (fillfactor = 10)")


def downgrade() -> None:
    """Take them away."""
    op.execute("ALTER TABLE stock SET (fillfactor = 20)")
    op.drop_index(INDEX, "stock")
    for name in COMMENTS:
        op.drop_column("stock", name)
