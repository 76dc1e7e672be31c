"""`payments migrate`: the database's schema, and the inbox's partitions."""

import click

from deploy.cli.common import emit, emit_json, json_option, say, settings_for_command
from deploy.failures import NOT_REACHED, Failure
from deploy.preparing import Migrated, migrate_database


@click.command()
@json_option
def migrate(*, as_json: bool) -> None:
    """Bring the database's schema to head, and make the inbox's partitions ahead of time.

    May be repeated, and by several at once: what is there is left as it is.
    """
    settings = settings_for_command()
    done = migrate_database(settings, say)
    before, after, inbox = done
    if as_json:
        emit_json({"before": before.revision, "revision": after.revision, "partitions_made": inbox.made})
    else:
        _show(done)
    for line in inbox.undone:
        say(f"not done now, the sweep tries again: {line}")
    if inbox.ahead < 1:
        raise Failure("the inbox has no partition for tomorrow: without one, orders wait", NOT_REACHED)


def _show(done: Migrated) -> None:
    before, after, inbox = done
    if before.revision == after.revision:
        emit(f"schema: at revision {after.revision} already")
    else:
        emit(f"schema: from {before.revision or 'nothing'} to revision {after.revision}")
    made = inbox.made
    emit(
        f"inbox: {made} partitions made, {after.partitions} in all" if made else f"inbox: {after.partitions} partitions"
    )
