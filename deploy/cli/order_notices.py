"""`payments order close-notices`: an operator ends the questions about what cannot be booked."""

import click

from deploy.cli.common import answer, json_option, settings_with_schema
from deploy.cli.words import check_words, os_user
from deploy.failures import Failure
from outbox.operators.closing_notices import close_notices as close


@click.command("close-notices", short_help="End the alarm about what the gateway told.")
@click.argument("order_id", metavar="ID")
@click.option("--reason", callback=check_words, required=True, help="Why nothing is to be booked; kept with the order.")
@click.option("--by", callback=check_words, help="Who says so.  [default: the OS user]")
@json_option
def close_notices(*, order_id: str, reason: str, by: str | None, as_json: bool) -> None:
    """Close what the gateway told of order ID and what could not be booked for a day: the alarm notice_kept ends.

    For books and a gateway that contradict each other, and will: money paid past the gateway of which it made a copy
    after all, for example. Settle that money first, in the gateway's dashboard. Nothing is booked, so `payments
    reconcile` goes on showing the difference. What the gateway tells later is looked at as always. The exit code is 1
    if there is nothing to close, or the order is under review or under way.
    """
    settings = settings_with_schema()
    who = by or os_user()
    closed = close(settings.sqlalchemy_url(), order_id, reason, who)
    if isinstance(closed, str):
        raise Failure(closed)
    document = {"order_id": order_id, "closed": [notice._asdict() for notice in closed], "reason": reason, "by": who}
    lines = [f"closed: {notice.type} {notice.object_id} (payment {notice.transaction_id or '-'})" for notice in closed]
    answer(document, lines, as_json=as_json)
