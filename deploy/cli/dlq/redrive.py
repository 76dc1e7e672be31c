"""`payments dlq redrive`: letters are processed once more."""

import sys
from typing import Any

import click

from deploy.cli.common import emit, emit_json, json_option, say, settings_with_schema
from deploy.cli.dlq.selecting import left_waiting, selecting, selection
from deploy.cli.dlq.show import LetterId
from deploy.cli.words import os_user
from deploy.failures import ANSWER_IS_NO, Failure
from deploy.running import run
from deploy.settings import Settings
from deploy.views.letters import document, left_lines, place_of
from outbox.operators.letter_list import Selection, letter_list
from outbox.operators.queries import Record, snapshot

NOTHING_CHOSEN = "say which letters: their IDs, --topic, --reason, --order, --since, --until or --all"


@click.command()
@click.argument("ids", nargs=-1, type=LetterId(), metavar="[ID]...")
@selecting
@click.option("--all", "every", is_flag=True, help="All letters that no redrive has settled.")
@click.option("--limit", type=click.IntRange(1), help="How many at most, the oldest first.")
@click.option("--dry-run", is_flag=True, help="Show what it would do, and change nothing.")
@json_option
def redrive(
    *, ids: tuple[str, ...], every: bool, limit: int | None, dry_run: bool, as_json: bool, **wanted: Any
) -> int:
    """Process dead letters once more, in place of the messages that they were; have work in quarantine go on.

    Letters of an order go in the order in which its messages came; what waits behind another one goes after it. A
    letter has its effect at most once. Others may wait behind ID: then the command that takes them is shown,
    and the order waits until it is run. `payments sweep` makes the calls that a letter opens. The exit code is 1 if one
    of the letters could not be redriven; --dry-run shows that before.
    """
    from deploy.redriving import Redriven, redrive_letters  # noqa: PLC0415 - keeps --help quick

    chosen_by = [name for name, value in wanted.items() if value is not None]
    if ids and (chosen_by or every or limit is not None):
        raise click.UsageError("say IDs, or what the letters have in common; not both")
    if not (ids or chosen_by or every):
        raise click.UsageError(NOTHING_CHOSEN)
    settings = settings_with_schema()
    records = _found(settings, selection(settings, **wanted, ids=ids or None, undone=not ids), limit)

    def show(one: Redriven) -> None:
        if not as_json:
            record, sign = one.record, "" if one.outcome.done else "not redriven: "
            emit(f"{record['id']}  {place_of(record)}  order {record['order_id'] or '-'}: {sign}{one.outcome.result}")
            sys.stdout.flush()

    # Only for whole orders: also redrive what has come to wait meanwhile.
    whole_orders = limit is None and (every or chosen_by == ["order_id"])
    done = run(
        redrive_letters(settings, records, by=os_user(), dry_run=dry_run, whole_orders=whole_orders, progress=show)
    )
    failed = sum(not one.outcome.done for one in done)
    left = left_waiting(settings, [one.record for one in done])
    if as_json:
        results = {one.record["id"]: one.outcome for one in done}
        letters = [
            document(record, result=results[record["id"]].result, done=results[record["id"]].done)
            for record in _again(settings, [str(one.record["id"]) for one in done])
        ]
        emit_json({"letters": letters, "more": False, "dry_run": dry_run, "left": left})
    else:
        for line in left_lines(left):
            emit(line)
    said = "would be redriven" if dry_run else "redriven"
    say(f"{len(done) - failed} {said}, {failed} not")
    return ANSWER_IS_NO if failed else 0


def _found(settings: Settings, wanted: Selection, limit: int | None) -> list[Record]:
    """Read the selected letters, the oldest first. Raises Failure if one that was named does not exist."""
    with snapshot(settings.sqlalchemy_url()) as connection:
        found = letter_list(connection, wanted, limit, oldest=True)
    missing = set(wanted.ids or ()) - {str(record["id"]) for record in found}
    if missing:
        raise Failure(f"there is no letter {', '.join(sorted(missing))}; nothing was redriven: see `payments dlq list`")
    return found


def _again(settings: Settings, names: list[str]) -> list[Record]:
    """Read these letters as they are now, in this order."""
    with snapshot(settings.sqlalchemy_url()) as connection:
        by_name = {str(record["id"]): record for record in letter_list(connection, Selection(ids=names))}
    return [by_name[name] for name in names]
