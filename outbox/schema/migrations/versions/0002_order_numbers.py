"""Number the orders, and find what belongs to an order by its number.

It writes every row of five tables anew, under an exclusive lock. Processes of an older release cannot write afterwards:
stop them first.
"""

import sqlalchemy as sa
from alembic import op

from outbox.schema.migrations.writers import wait_for_writers

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BLOCK = 1000
NUMBER = "orders.order_number: what the rows of an order are found by"
KEYS = {
    "attempt": ["attempt"],
    "operation": ["attempt", "kind", "try_number"],
    "reservation": ["attempt"],
}
UNFINISHED = sa.text("state IN ('open', 'pending', 'unknown') AND kind <> 'release'")


def upgrade() -> None:
    """Give every order a number, in the order of their arrival."""
    wait_for_writers("orders")
    op.execute("LOCK TABLE orders, attempt, operation, reservation, event IN ACCESS EXCLUSIVE MODE")
    op.add_column(
        "orders",
        sa.Column(
            "order_number",
            sa.BigInteger(),
            nullable=True,
            comment="ours, growing with time, with gaps: indexes of other tables begin with it",
        ),
    )
    op.execute(
        """
        UPDATE orders o SET order_number = n.number
          FROM (SELECT order_id, row_number() OVER (ORDER BY created_at, order_id) AS number FROM orders) n
         WHERE n.order_id = o.order_id"""
    )
    op.alter_column("orders", "order_number", nullable=False)
    op.execute(f"CREATE SEQUENCE order_number_seq INCREMENT BY {BLOCK}")
    op.execute("SELECT setval('order_number_seq', (SELECT coalesce(max(order_number), 0) + 1 FROM orders), false)")
    for table, key in KEYS.items():
        op.add_column(table, sa.Column("order_number", sa.BigInteger(), nullable=True, comment=NUMBER))
        _number(table)
        op.alter_column(table, "order_number", nullable=False)
        op.drop_constraint(f"{table}_pkey", table)
        op.create_primary_key(f"{table}_pkey", table, ["order_number", *key])
    _index_unfinished("order_number")
    comment = f"{NUMBER}; null: a dead letter"
    op.add_column("event", sa.Column("order_number", sa.BigInteger(), nullable=True, comment=comment))
    _number("event")
    op.drop_index("event_order_id_idx", "event")
    op.create_index("event_order_number_idx", "event", ["order_number"])
    op.alter_column(
        "event",
        "key",
        comment="message key of a dead letter; that of our events is the order id",
        existing_comment="message key",
    )


def downgrade() -> None:
    """Undo it."""
    op.execute("LOCK TABLE orders, attempt, operation, reservation, event IN ACCESS EXCLUSIVE MODE")
    op.execute("UPDATE event SET key = convert_to(order_id, 'UTF8') WHERE header_names IS NULL AND key IS NULL")
    op.alter_column(
        "event",
        "key",
        comment="message key",
        existing_comment="message key of a dead letter; that of our events is the order id",
    )
    op.drop_index("event_order_number_idx", "event")
    op.create_index("event_order_id_idx", "event", ["order_id"])
    op.drop_column("event", "order_number")
    _index_unfinished("order_id")
    for table, key in KEYS.items():
        op.drop_constraint(f"{table}_pkey", table)
        op.create_primary_key(f"{table}_pkey", table, ["order_id", *key])
        op.drop_column(table, "order_number")
    op.drop_column("orders", "order_number")
    op.execute("DROP SEQUENCE order_number_seq")


def _number(table: str) -> None:
    op.execute(f"UPDATE {table} t SET order_number = o.order_number FROM orders o WHERE o.order_id = t.order_id")  # noqa: S608 - names of ours


def _index_unfinished(column: str) -> None:
    op.drop_index("operation_one_unfinished_key", "operation")
    op.create_index("operation_one_unfinished_key", "operation", [column], unique=True, postgresql_where=UNFINISHED)
