"""`payments migrate`: the database's schema, and the inbox's partitions."""

from collections.abc import Callable

import click

from deploy.cli.common import emit, emit_json, json_option, run, say, settings_for_command
from deploy.cli.failures import NOT_REACHED, Failure
from deploy.composition import store_of
from deploy.settings import Settings
from domain.ports.store import InboxUpkeep
from outbox.schema.migrations import upgrade
from outbox.schema.state import SchemaState, schema_state


@click.command()
@json_option
def migrate(*, as_json: bool) -> None:
    """Bring the database's schema to head, and make the inbox's partitions ahead of time.

    May be repeated, and by several at once: what is there is left as it is.
    """
    settings = settings_for_command()
    before, after, inbox = migrate_database(settings)
    if as_json:
        emit_json({"before": before.revision, "revision": after.revision, "partitions_made": inbox.made})
    else:
        _show(before, after, inbox)
    for line in inbox.undone:
        say(f"not done now, the sweep tries again: {line}")
    if inbox.ahead < 1:
        raise Failure("the inbox has no partition for tomorrow: without one, orders wait", NOT_REACHED)


def _show(before: SchemaState, after: SchemaState, inbox: InboxUpkeep) -> None:
    if before.revision == after.revision:
        emit(f"schema: at revision {after.revision} already")
    else:
        emit(f"schema: from {before.revision or 'nothing'} to revision {after.revision}")
    made = inbox.made
    emit(
        f"inbox: {made} partitions made, {after.partitions} in all" if made else f"inbox: {after.partitions} partitions"
    )


def migrate_database(
    settings: Settings, progress: Callable[[str], None] = say
) -> tuple[SchemaState, SchemaState, InboxUpkeep]:
    """Migrate, past a pooler; return the schema's state before and after, and what became of the inbox's days.

    Raises OperationalError if the database is not there, Transient if its tables are in use for too long.
    """
    url = settings.direct_url()
    before = schema_state(url)
    upgrade(url, progress)
    inbox = run(_maintain(settings))
    return before, schema_state(url), inbox


async def _maintain(settings: Settings) -> InboxUpkeep:
    async with store_of(settings) as store:
        return await store.maintain()
