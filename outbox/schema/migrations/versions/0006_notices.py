"""Make room for notices: what the gateway tells unasked. It only adds a table; the release before may run on."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Add the table and its two small indexes."""
    op.create_table(
        "gateway_notice",
        _c("notice_id", sa.Text(), "the gateway's id of its event: kept once"),
        _c("type", sa.Text(), "the gateway's type of event, see domain.notices"),
        _c("occurred_at", TIME, "when, by the gateway's clock"),
        _c("object_id", sa.Text(), "the gateway's id of what it is about"),
        sa.Column("intent_id", sa.Text(), comment="the gateway's transaction; null: the object names none"),
        sa.Column("order_id", sa.Text(), comment="the order, from our metadata; null: the object has none"),
        sa.Column("operation_id", sa.UUID(), comment="the operation, from our metadata; null: the object has none"),
        _c("received_at", TIME, "when we kept it", server_default=sa.text("now()")),
        _c("fate", sa.Text(), "waiting, woken, known, kept (not applied yet), unknown_order"),
        sa.Column("due_at", TIME, comment="when it is looked at next; null: not again"),
        sa.PrimaryKeyConstraint("notice_id", name=op.f("gateway_notice_pkey")),
        comment="What the gateway told unasked; never its body",
    )
    op.create_index(
        "gateway_notice_due_at_idx", "gateway_notice", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index("gateway_notice_received_at_idx", "gateway_notice", ["received_at"])


def _c(name: str, type_: object, comment: str, **options: object) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=False, **options)  # type: ignore[arg-type]


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("gateway_notice")
