"""`payments dlq list`: what could not be processed, and what waits in quarantine."""

from typing import Any

import click

from deploy.cli.common import answer, json_option, settings_for_reading
from deploy.cli.dlq.selecting import selecting, selection
from deploy.running import now
from deploy.views.letters import document, letter_lines
from outbox.operators.letter_list import letter_list
from outbox.operators.queries import snapshot

LIMIT_MAX = 10_000


@click.command("list")
@selecting
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=50, show_default=True, help="How many at most.")
@json_option
def list_(*, limit: int, as_json: bool, **wanted: Any) -> None:
    """List dead letters and work in quarantine, the last one first.

    Operations, orders and messages of the relay that raised have ids such as Q12 and no place on a topic.
    """
    settings = settings_for_reading()
    chosen = selection(settings, **wanted)
    with snapshot(settings.sqlalchemy_url()) as connection:
        found = letter_list(connection, chosen, limit + 1)
    shown, more = found[:limit], len(found) > limit
    beyond = [f"... and more: --limit shows up to {LIMIT_MAX}"] if more else []
    found_json = {"letters": [document(record) for record in shown], "more": more}
    answer(found_json, [*letter_lines(shown, now()), *beyond], as_json=as_json)
