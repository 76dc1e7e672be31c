"""`payments migrate`: the database's schema, and the inbox's partitions."""

from collections.abc import Iterator
from functools import partial

import click

from deploy.cli.common import answer, json_option, say, settings_for_command
from deploy.failures import NOT_REACHED, Failure
from deploy.preparing import Migrated, migrate_database
from outbox.schema.migrations import contraction, expansion
from schemas.texts import counted


@click.command()
@click.option("--contract", is_flag=True, help="Take away, too, what only older releases used. Never back.")
@click.option(
    "--ended",
    multiple=True,
    metavar="NAME",
    help="With --contract: this silent process is gone, or with HOST-* all silent ones of that host; may be repeated.",
)
@json_option
def migrate(*, contract: bool, ended: tuple[str, ...], as_json: bool) -> None:
    """Add to the database's schema what this release needs, and make the inbox's partitions ahead of time.

    Processes of older releases run on meanwhile and afterwards. With --contract it takes away what they used: it
    refuses while one of them runs, and names it. May be repeated, and by several at once: what is there is left as it
    is.
    """
    if ended and not contract:
        raise click.UsageError("--ended goes with --contract")
    target = partial(contraction, ended=ended) if contract else expansion
    done = migrate_database(settings_for_command(), say, target)
    before, after, inbox = done
    document = {
        "before": before.revision,
        "revision": after.revision,
        "partitions_made": inbox.made,
        "to_contract": [step.revision for step in after.pending_contracts],
    }
    answer(document, _lines(done), as_json=as_json)
    for line in inbox.undone:
        say(f"not done now, the sweep tries again: {line}")
    if inbox.ahead < 1:
        raise Failure("the inbox has no partition for tomorrow: without one, orders wait", NOT_REACHED)


def _lines(done: Migrated) -> Iterator[str]:
    before, after, inbox = done
    if before.revision == after.revision:
        newer = "" if after.known else ", of a newer release"
        yield f"schema: at revision {after.revision} already{newer}"
    else:
        yield f"schema: from {before.revision or 'nothing'} to revision {after.revision}"
    made = f"{counted(inbox.made, 'partition')} made, {after.partitions} in all"
    yield f"inbox: {made if inbox.made else counted(after.partitions, 'partition')}"
    if left := ", ".join(step.revision for step in after.pending_contracts):
        yield f"left for later: {left}. When no older release runs any more: `payments migrate --contract`"
