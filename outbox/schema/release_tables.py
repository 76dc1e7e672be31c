"""Tables about releases: which migrations the database has had, and which processes run."""

import sqlalchemy as sa

from outbox.schema.columns import Time, column, metadata

migrations = sa.Table(
    "migration",
    metadata,
    column("revision", sa.Text, "alembic_version.version_num after it", primary_key=True),
    column("kind", sa.Text, "expand: it only adds; contract: it takes away what older releases use"),
    column("oldest", sa.Text, "from it on, a process must be made for this revision or a later one"),
    column("applied_at", Time, "when; null: before 0018", nullable=True),
    comment="The migrations that made this database. Every later release writes it so: older ones read it",
)

processes = sa.Table(
    "process",
    metadata,
    column("name", sa.Text, "host, process id and a random part", primary_key=True),
    column("release", sa.Text, "its version"),
    column("needs", sa.Text, "the least revision that it works on"),
    column("roles", sa.Text, "what it does"),
    column("since", Time, "when it began", server_default=sa.text("now()")),
    column("until", Time, "later it is killed, frozen or cut off, or it would have said that it still runs"),
    comment="The processes that run. One that ends deletes its row; one that is killed leaves it",
)
