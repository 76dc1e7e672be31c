"""`payments offsets rewind`: groups read again what came since a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from deploy.cli.common import answer, json_option, say, settings_for_command
from deploy.cli.moment import Moment
from deploy.running import now, run
from deploy.views.tables import table

if TYPE_CHECKING:
    from deploy.offsets import Step

HEADS = ("group", "partition", "committed", "set to", "left, because")


@click.command()
@click.option("--to", "since", type=Moment(), required=True, metavar="TIME", help="Read from then on (ISO 8601, UTC).")
@click.option("--group", "chosen", multiple=True, metavar="G", help="Only this group; may be repeated. Default: all.")
@click.option("--dry-run", is_flag=True, help="Show what it would do, and change nothing.")
@click.option("--force", is_flag=True, help="Also to a time of which the inbox has forgotten what was processed.")
@json_option
def rewind(*, since: datetime, chosen: tuple[str, ...], dry_run: bool, force: bool, as_json: bool) -> None:
    """Set what consumer groups have committed back to the first record of TIME or later.

    For the restore of a database: what was processed after the backup is read once more. TIME is compared with the
    records' own time-stamps: name one some minutes before the backup. Offsets go back only, never on, so it may be
    repeated. What a group has never committed is left.

    It is refused (exit 1) while a group has a member: stop `payments consume` and `payments up` first. It is refused,
    too, if TIME is older than the inbox remembers (PAYMENTS_INBOX_RETENTION_DAYS): what is read again from before that
    and would still have an effect becomes a dead letter `too_old`, and has none. --force accepts that.

    It needs Kafka: Describe and Read on the topics and on the groups.
    """
    from deploy.offsets import rewind_offsets  # noqa: PLC0415 - keeps --help quick

    settings = settings_for_command()
    steps = run(rewind_offsets(settings, since, chosen, now=now(), dry_run=dry_run, force=force))
    moved = [step for step in steps if step.to_offset is not None]
    document = {"to": since, "dry_run": dry_run, "partitions": [step._asdict() for step in steps]}
    answer(document, _lines(steps), as_json=as_json)
    would = "would be set back" if dry_run else "set back"
    again = sum(step.again for step in moved)
    say(f"{len(moved)} partitions {would}, {again} offsets to be read again" if moved else "nothing to set back")


def _lines(steps: Sequence["Step"]) -> list[str]:
    rows = [
        (
            step.group,
            str(step.partition),
            "-" if step.committed is None else str(step.committed),
            "-" if step.to_offset is None else str(step.to_offset),
            step.left or "",
        )
        for step in steps
    ]
    return table(HEADS, rows, right=frozenset({1, 2, 3}))
