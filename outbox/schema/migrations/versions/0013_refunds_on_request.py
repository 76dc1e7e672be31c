"""Keep refunds that somebody asks for, several of a payment, and let pending ones block nothing.

The key of operations gets a column: that is one new index over the table, built under a lock. Processes of an older
release do not know requests, and would update a refund by the old key: stop them first.
"""

import sqlalchemy as sa
from alembic import op

from outbox.schema.migrations.writers import wait_for_writers

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

KEY = ["order_number", "attempt", "kind", "try_number"]
BEFORE = "state IN ('open', 'pending', 'unknown') AND kind <> 'release'"
ONE_AT_A_TIME = """
    (state IN ('open', 'unknown') OR (state = 'pending' AND kind <> 'refund'))
    AND kind NOT IN ('release', 'restock', 'extend')"""
BESIDE = """
    (state = 'pending' AND kind = 'refund')
    OR (state IN ('open', 'pending', 'unknown') AND kind IN ('release', 'restock', 'extend'))"""
KINDS_BEFORE = "authorize, capture, void, refund; reserve, confirm, release"
KINDS = f"{KINDS_BEFORE}, restock"
HOLDS_BEFORE = "held, sold, released, expired"
HOLDS = "held, sold, released, restocked, expired"


def upgrade() -> None:
    """Add the columns and indexes."""
    wait_for_writers("operation")
    _add("operation", "for_request", sa.Text(), FOR_REQUEST, "''")
    op.drop_constraint("operation_pkey", "operation")
    op.create_primary_key("operation_pkey", "operation", [*KEY, "for_request"])
    _index(ONE_AT_A_TIME)
    op.create_index("operation_beside_idx", "operation", ["order_number"], postgresql_where=sa.text(BESIDE))
    _add("order_request", "returned_minor", sa.BigInteger(), RETURNED, "0")
    _add("order_request", "tries", sa.Integer(), TRIES, "0")
    op.create_index(
        "order_request_approval_idx", "order_request", ["noted_at"], postgresql_where=sa.text("state = 'approval'")
    )
    op.alter_column("operation", "kind", comment=KINDS, existing_comment=KINDS_BEFORE)
    op.alter_column("reservation", "state", comment=HOLDS, existing_comment=HOLDS_BEFORE)


def downgrade() -> None:
    """Drop them. It fails while an order has refunds that the old key cannot tell apart, or several under way."""
    op.alter_column("reservation", "state", comment=HOLDS_BEFORE, existing_comment=HOLDS)
    op.alter_column("operation", "kind", comment=KINDS_BEFORE, existing_comment=KINDS)
    op.drop_index("order_request_approval_idx", "order_request")
    op.drop_column("order_request", "tries")
    op.drop_column("order_request", "returned_minor")
    op.drop_index("operation_beside_idx", "operation")
    _index(BEFORE)
    op.drop_constraint("operation_pkey", "operation")
    op.create_primary_key("operation_pkey", "operation", KEY)
    op.drop_column("operation", "for_request")


FOR_REQUEST = "the request that it serves, part of the idempotency key; empty: none"
RETURNED = "what went back for it so far, minor units"
TRIES = "refunds that were sent for it, each under a key of its own"


def _add(table: str, name: str, type_: object, comment: str, default: str) -> None:
    """Add a column to rows that are there. New rows always name it."""
    column: sa.Column[object] = sa.Column(
        name,
        type_,  # type: ignore[arg-type]
        comment=comment,
        nullable=False,
        server_default=sa.text(default),
    )
    op.add_column(table, column)
    op.alter_column(table, name, server_default=None)


def _index(where: str) -> None:
    op.drop_index("operation_one_unfinished_key", "operation")
    op.create_index(
        "operation_one_unfinished_key", "operation", ["order_number"], unique=True, postgresql_where=sa.text(where)
    )
