"""`payments messages list`: what customers were told, and what could not be sent."""

import click

from deploy.cli.common import answer, json_option, settings_with_schema
from deploy.running import now
from deploy.views.messages import document, message_lines
from outbox.operators.messages import STATES, Wanted, message_list
from outbox.operators.queries import snapshot

LIMIT_MAX = 10_000


@click.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only messages that stand so.")
@click.option("--order", "order_id", metavar="ID", help="Only of this order.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=50, show_default=True, help="How many at most.")
@json_option
def list_(*, state: str | None, order_id: str | None, limit: int, as_json: bool) -> None:
    """List messages to customers, the last one first.

    waiting: to be sent, perhaps once more. sent: its receiver took it. stale: too old to be sent. given_up: refused,
    without an address, or tried too often. logged: nobody was told, for PAYMENTS_NOTIFIER was log.
    """
    settings = settings_with_schema(changes=False)
    with snapshot(settings.sqlalchemy_url()) as connection:
        found = message_list(connection, Wanted(state, order_id), limit + 1)
    shown, more = found[:limit], len(found) > limit
    beyond = [f"... and more: --limit shows up to {LIMIT_MAX}"] if more else []
    found_json = {"messages": [document(record) for record in shown], "more": more}
    answer(found_json, [*message_lines(shown, now()), *beyond], as_json=as_json)
