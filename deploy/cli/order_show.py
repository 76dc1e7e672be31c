"""`payments order show`: where one order stands, and how it came there."""

import click

from deploy.cli.common import answer, json_option, settings_for_reading
from deploy.contracts import codec_of
from deploy.failures import Failure
from deploy.running import now
from deploy.views.early_text import not_come
from deploy.views.order_json import order_document
from deploy.views.order_text import order_lines
from deploy.views.timeline import decode_journal
from outbox.operators.early_list import early_list
from outbox.operators.queries import read_order, snapshot


@click.command()
@click.argument("order_id", metavar="ID")
@json_option
def show(*, order_id: str, as_json: bool) -> None:
    """Show where order ID stands, and its timeline.

    The timeline holds events, operations with their outcomes, the customer's notices, what was refused, and who did
    it. All of it is one moment of the database.
    """
    settings = settings_for_reading()
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
