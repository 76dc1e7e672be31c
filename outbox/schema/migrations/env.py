"""Alembic's entry: runs the migrations on the connection that the caller opened, and notes each that was run."""

from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo

from outbox.schema.release_tables import migrations
from outbox.schema.steps import steps
from outbox.schema.tables import metadata


def _note(*, ctx: MigrationContext, step: MigrationInfo, **_: Any) -> None:
    """Write down what a migration means for older releases. Before 0018 there is no table; 0018 fills it."""
    connection = ctx.connection
    assert connection is not None
    if not connection.execute(sa.text("SELECT to_regclass('migration') IS NOT NULL")).scalar_one():
        return
    if not step.is_upgrade:
        connection.execute(migrations.delete().where(migrations.c.revision == step.up_revision_id))
        return
    done = next(known for known in steps() if known.revision == step.up_revision_id)
    row = {"revision": done.revision, "kind": str(done.kind), "oldest": done.oldest, "applied_at": sa.func.now()}
    connection.execute(migrations.insert().values(row))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_name=lambda name, kind, _parents: not (kind == "table" and str(name).startswith("inbox_")),
    on_version_apply=[_note],  # type: ignore[arg-type]  # Alembic takes several, and calls them by name
)
with context.begin_transaction():
    context.run_migrations()
