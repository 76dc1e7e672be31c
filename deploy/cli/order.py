"""`payments order`: where an order stands, how it came there, and what an operator does about it."""

import click

from deploy.cli.common import answer, json_option, settings_with_schema
from deploy.cli.order_cancel import cancel
from deploy.cli.order_refund import approve, refund
from deploy.cli.order_resolve import resolve
from deploy.contracts import codec_of
from deploy.failures import Failure
from deploy.running import now
from deploy.views.early_text import early_documents, early_lines, not_come
from deploy.views.order_json import order_document
from deploy.views.order_text import list_lines, order_lines
from deploy.views.timeline import decode_journal
from domain.order import Status
from outbox.operators.early_list import early_list
from outbox.operators.queries import order_list, read_order, snapshot

LIMIT_MAX = 10_000


@click.group()
def order() -> None:
    """Look at orders, settle those that wait for a person, cancel one, and give money back."""


order.add_command(resolve)
order.add_command(cancel)
order.add_command(refund)
order.add_command(approve)


@order.command()
@click.argument("order_id", metavar="ID")
@json_option
def show(*, order_id: str, as_json: bool) -> None:
    """Show where order ID stands, and its timeline.

    The timeline holds events, operations with their outcomes, the customer's notices, what was refused, and who did
    it. All of it is one moment of the database.
    """
    settings = settings_with_schema()
    with snapshot(settings.sqlalchemy_url()) as connection:
        stored = read_order(connection, order_id)
        early = [] if stored is not None else early_list(connection, order_id)
    if stored is None and early:
        raise Failure(not_come(order_id, early, settings.topic_prefix, now()))
    if stored is None:
        raise Failure(
            f"there is no order {order_id}: `payments order list` shows the last ones, and "
            f"`payments dlq list --order {order_id}` messages about it that were refused"
        )
    events = decode_journal(stored, settings.topic_prefix, codec_of(settings).decode)
    answer(order_document(stored, events), order_lines(stored, events, now()), as_json=as_json, tell=click.echo)


@order.command("list")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only orders that stand there.")
@click.option("--approval", is_flag=True, help="Only orders with a request that waits for a second person.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=50, show_default=True, help="How many at most.")
@json_option
def list_(*, status: str | None, approval: bool, limit: int, as_json: bool) -> None:
    """List orders, the one that changed last first; without a choice of some also what waits for orders to come."""
    settings = settings_with_schema()
    with snapshot(settings.sqlalchemy_url()) as connection:
        found = order_list(connection, status, limit + 1, approval=approval)
        early = [] if status is not None or approval else early_list(connection)
    shown, more = found[:limit], len(found) > limit
    document = {"orders": shown, "more": more, "early": early_documents(early, settings.topic_prefix)}
    lines = [*list_lines(shown, now(), more=more), *early_lines(early, settings.topic_prefix, now())]
    answer(document, lines, as_json=as_json, tell=click.echo)
