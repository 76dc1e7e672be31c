"""Alembic's entry: runs the migrations on the connection that the caller opened."""

from alembic import context

from outbox.schema.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_name=lambda name, kind, _parents: not (kind == "table" and str(name).startswith("inbox_")),
)
with context.begin_transaction():
    context.run_migrations()
