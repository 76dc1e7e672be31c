"""`payments dlq list`: what could not be processed, and what waits in quarantine."""

from typing import Any

import click

from deploy.cli.common import emit, emit_json, json_option, settings_for_command
from deploy.cli.dlq.selecting import selecting, selection
from deploy.readiness import check_schema
from deploy.running import now
from deploy.views.letters import document, letter_lines
from outbox.operators.letter_list import letter_list
from outbox.operators.queries import snapshot

LIMIT_MAX = 10_000


@click.command("list")
@selecting
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=50, show_default=True, help="So many at the most.")
@json_option
def list_(*, limit: int, as_json: bool, **wanted: Any) -> None:
    """List dead letters and work in quarantine, the last one first.

    Operations, orders and messages of the relay that raised have ids such as Q12 and no place on a topic.
    """
    settings = settings_for_command()
    check_schema(settings)
    chosen = selection(settings, **wanted)
    with snapshot(settings.sqlalchemy_url()) as connection:
        found = letter_list(connection, chosen, limit + 1)
    shown, more = found[:limit], len(found) > limit
    if as_json:
        emit_json({"letters": [document(record) for record in shown], "more": more})
        return
    for line in letter_lines(shown, now()):
        emit(line)
    if more:
        emit(f"... and more: --limit shows up to {LIMIT_MAX}")
