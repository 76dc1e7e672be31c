"""Make room for what a release must know of others: which migrations the database has had, and which processes run.

It only adds two tables; the release before may run on. Everybody may read which migrations there were: an older process
asks that before anything else.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TIME = postgresql.TIMESTAMP(timezone=True)
BEFORE: Final = {
    **dict.fromkeys(["0001"], "0001"),
    **dict.fromkeys(["0002"], "0002"),
    **dict.fromkeys([f"{n:04}" for n in range(3, 13)], "0003"),
    **dict.fromkeys([f"{n:04}" for n in range(13, 18)], "0013"),
}
"""The oldest revision that a process could be made for, after each of these."""
PAUSES: Final = {"0002", "0003", "0013"}


def upgrade() -> None:
    """Make them, and note the migrations until now. This one and later ones are noted by whoever runs them."""
    migrations = op.create_table(
        "migration",
        _c("revision", sa.Text(), "alembic_version.version_num after it"),
        _c("kind", sa.Text(), "expand: it only adds; contract: it takes away what older releases use"),
        _c("oldest", sa.Text(), "from it on, a process must be made for this revision or a later one"),
        sa.Column("applied_at", TIME, nullable=True, comment="when; null: before 0018"),
        sa.PrimaryKeyConstraint("revision", name=op.f("migration_pkey")),
        comment="The migrations that made this database. Every later release writes it so: older ones read it",
    )
    assert migrations is not None
    rows = [{"revision": r, "kind": "contract" if r in PAUSES else "expand", "oldest": o} for r, o in BEFORE.items()]
    op.bulk_insert(migrations, rows)
    op.execute("GRANT SELECT ON migration TO PUBLIC")
    op.create_table(
        "process",
        _c("name", sa.Text(), "host, process id and a random part"),
        _c("release", sa.Text(), "its version"),
        _c("needs", sa.Text(), "the least revision that it works on"),
        _c("roles", sa.Text(), "what it does"),
        sa.Column("since", TIME, server_default=sa.text("now()"), nullable=False, comment="when it began"),
        _c("until", TIME, "later it is killed, frozen or cut off, or it would have said that it still runs"),
        sa.PrimaryKeyConstraint("name", name=op.f("process_pkey")),
        comment="The processes that run. One that ends deletes its row; one that is killed leaves it",
    )


def _c(name: str, type_: object, comment: str) -> sa.Column[object]:
    return sa.Column(name, type_, comment=comment, nullable=False)  # type: ignore[arg-type]


def downgrade() -> None:
    """Drop them."""
    op.drop_table("process")
    op.drop_table("migration")
