"""`payments migrate`: the database's schema, and the inbox's partitions."""

import click

from deploy.cli.common import emit, emit_json, json_option, run, settings_for_command
from deploy.composition import store_of
from deploy.settings import Settings
from outbox.migrations import upgrade
from outbox.schema import SchemaState, schema_state


@click.command()
@json_option
def migrate(*, as_json: bool) -> None:
    """Bring the database's schema to head, and make the inbox's partitions ahead of time.

    May be repeated, and by several at once: what is there is left as it is.
    """
    settings = settings_for_command()
    before, after = migrate_database(settings)
    made = after.partitions - before.partitions
    if as_json:
        emit_json({"before": before.revision, "revision": after.revision, "partitions_made": made})
        return
    if before.revision == after.revision:
        emit(f"schema: at revision {after.revision} already")
    else:
        emit(f"schema: from {before.revision or 'nothing'} to revision {after.revision}")
    emit(
        f"inbox: {made} partitions made, {after.partitions} in all" if made else f"inbox: {after.partitions} partitions"
    )


def migrate_database(settings: Settings) -> tuple[SchemaState, SchemaState]:
    """Migrate, and return the schema's state before and after. Raises OperationalError if the database is not there."""
    url = settings.sqlalchemy_url()
    before = schema_state(url)
    upgrade(url)
    run(_maintain(settings))
    return before, schema_state(url)


async def _maintain(settings: Settings) -> None:
    async with store_of(settings) as store:
        await store.maintain()
