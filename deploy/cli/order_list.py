"""`payments order list`: the orders that changed last."""

import click

from deploy.cli.common import answer, json_option, settings_for_reading
from deploy.running import now
from deploy.views.early_text import early_documents, early_lines
from deploy.views.list_text import list_lines
from domain.order import Status
from outbox.operators.early_list import early_list
from outbox.operators.queries import order_list, snapshot

LIMIT_MAX = 10_000


@click.command("list")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only orders that stand there.")
@click.option("--approval", is_flag=True, help="Only orders with a request that waits for a second person.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=50, show_default=True, help="How many at most.")
@json_option
def list_(*, status: str | None, approval: bool, limit: int, as_json: bool) -> None:
    """List orders, the one that changed last first; without a choice of some also what waits for orders to come."""
    settings = settings_for_reading()
    with snapshot(settings.sqlalchemy_url()) as connection:
        found = order_list(connection, status, limit + 1, approval=approval)
        early = [] if status is not None or approval else early_list(connection)
    shown, more = found[:limit], len(found) > limit
    document = {"orders": shown, "more": more, "early": early_documents(early, settings.topic_prefix)}
    lines = [*list_lines(shown, now(), more=more), *early_lines(early, settings.topic_prefix, now())]
    answer(document, lines, as_json=as_json, tell=click.echo)
