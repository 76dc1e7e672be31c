"""Make room for calls at an inventory elsewhere: their index, and how often a hold was extended.

It adds a column that may be null and a small index, and makes the index of unfinished operations anew, which is small,
too. The release before may run on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None

UNFINISHED = "state IN ('open', 'pending', 'unknown')"
KINDS = "authorize, capture, void, refund; reserve, confirm, release"
EXTENSIONS = "how often an inventory elsewhere was asked to hold them for longer; null: written before 0014"


def upgrade() -> None:
    """Add the column and the index; let extensions and restocks be under way beside other operations."""
    op.add_column("reservation", sa.Column("extensions", sa.Integer(), nullable=True, comment=EXTENSIONS))
    _kinds(f"{KINDS}, extend, restock", KINDS)
    _one_unfinished("kind NOT IN ('release', 'extend', 'restock')")
    op.create_index(
        "operation_stock_idx",
        "operation",
        ["order_number"],
        postgresql_where=sa.text(f"{UNFINISHED} AND kind IN ('reserve', 'confirm', 'release', 'extend', 'restock')"),
    )


def downgrade() -> None:
    """Undo it. Settle all extensions and restocks first, or the index cannot be made."""
    op.drop_index("operation_stock_idx", "operation")
    _one_unfinished("kind <> 'release'")
    _kinds(KINDS, f"{KINDS}, extend, restock")
    op.drop_column("reservation", "extensions")


def _one_unfinished(kinds: str) -> None:
    op.drop_index("operation_one_unfinished_key", "operation")
    op.create_index(
        "operation_one_unfinished_key",
        "operation",
        ["order_number"],
        unique=True,
        postgresql_where=sa.text(f"{UNFINISHED} AND {kinds}"),
    )


def _kinds(comment: str, before: str) -> None:
    op.alter_column("operation", "kind", comment=comment, existing_comment=before)
