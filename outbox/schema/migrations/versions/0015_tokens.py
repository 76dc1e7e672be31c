"""Keep a dead letter's payment token apart from its body, so that it can be erased; and where adjustments come from.

It adds columns that may be null or have a default, and two small indexes; the release before may run on. Tokens in rows
of that release are erased behind it: by `payments migrate` (outbox/schema/erasing.py) and by the sweep.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TIME = postgresql.TIMESTAMP(timezone=True)
BODY = "original body, card numbers masked, tokens hidden; empty: none may be shown"
BODY_BEFORE = "original body, card numbers masked"
MASKED = "card numbers were masked (then it cannot be redriven), or a token hidden"
MASKED_BEFORE = "card numbers were masked: it cannot be redriven"
ADJUSTED = "What people and warehouses did to the stock; the sum is available + reserved + sold"
ADJUSTED_BEFORE = "What people did to the stock; the sum is available + reserved + sold"
DELTA = "whole units put in (or, negative, taken out)"
DELTA_BEFORE = "whole units put in (or, negative, taken out) by hand"


def upgrade() -> None:
    """Add the columns and the indexes."""
    op.add_column(
        "dead_letter",
        _n("original", sa.LargeBinary(), "the body with its payment token; null: body is all, or it is erased"),
    )
    op.add_column(
        "dead_letter",
        sa.Column(
            "token_hidden",
            sa.Boolean(),
            nullable=False,
            server_default=sa.text("false"),
            comment="body was searched for tokens; false: a release before 0015 wrote it",
        ),
    )
    op.add_column("dead_letter", _n("erased_at", TIME, "when original was erased: from then on it cannot be redriven"))
    op.create_index(
        "dead_letter_original_idx", "dead_letter", ["first_at"], postgresql_where=sa.text("original IS NOT NULL")
    )
    op.create_index("dead_letter_token_hidden_idx", "dead_letter", ["id"], postgresql_where=sa.text("NOT token_hidden"))
    op.alter_column("dead_letter", "body", comment=BODY, existing_comment=BODY_BEFORE)
    op.alter_column("dead_letter", "masked", comment=MASKED, existing_comment=MASKED_BEFORE)
    op.add_column("stock_adjustment", _n("event_id", sa.UUID(), "the warehouse's event; null: a person did it"))
    op.alter_column("stock_adjustment", "delta", comment=DELTA, existing_comment=DELTA_BEFORE)
    op.create_table_comment("stock_adjustment", ADJUSTED, existing_comment=ADJUSTED_BEFORE)


def _n(name: str, type_: object, comment: str) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=True)  # type: ignore[arg-type]


def downgrade() -> None:
    """Drop what was added. Tokens that were moved apart go back into the bodies; what is erased stays so."""
    op.create_table_comment("stock_adjustment", ADJUSTED_BEFORE, existing_comment=ADJUSTED)
    op.alter_column("stock_adjustment", "delta", comment=DELTA_BEFORE, existing_comment=DELTA)
    op.drop_column("stock_adjustment", "event_id")
    op.execute("UPDATE dead_letter SET body = original, masked = false WHERE original IS NOT NULL")
    op.alter_column("dead_letter", "masked", comment=MASKED_BEFORE, existing_comment=MASKED)
    op.alter_column("dead_letter", "body", comment=BODY_BEFORE, existing_comment=BODY)
    op.drop_index("dead_letter_token_hidden_idx", "dead_letter")
    op.drop_index("dead_letter_original_idx", "dead_letter")
    op.drop_column("dead_letter", "erased_at")
    op.drop_column("dead_letter", "token_hidden")
    op.drop_column("dead_letter", "original")
