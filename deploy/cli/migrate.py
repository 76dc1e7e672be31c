"""`payments migrate`: the database's schema, and the inbox's partitions."""

from collections.abc import Iterator

import click

from deploy.cli.common import answer, json_option, say, settings_for_command
from deploy.failures import NOT_REACHED, Failure
from deploy.preparing import Migrated, migrate_database
from schemas.texts import counted


@click.command()
@json_option
def migrate(*, as_json: bool) -> None:
    """Bring the database's schema to head, and make the inbox's partitions ahead of time.

    May be repeated, and by several at once: what is there is left as it is.
    """
    done = migrate_database(settings_for_command(), say)
    before, after, inbox = done
    document = {"before": before.revision, "revision": after.revision, "partitions_made": inbox.made}
    answer(document, _lines(done), as_json=as_json)
    for line in inbox.undone:
        say(f"not done now, the sweep tries again: {line}")
    if inbox.ahead < 1:
        raise Failure("the inbox has no partition for tomorrow: without one, orders wait", NOT_REACHED)


def _lines(done: Migrated) -> Iterator[str]:
    before, after, inbox = done
    if before.revision == after.revision:
        yield f"schema: at revision {after.revision} already"
    else:
        yield f"schema: from {before.revision or 'nothing'} to revision {after.revision}"
    made = f"{counted(inbox.made, 'partition')} made, {after.partitions} in all"
    yield f"inbox: {made if inbox.made else counted(after.partitions, 'partition')}"
