"""What the commands share: options that select letters, and what an order still has in quarantine afterwards."""

from collections.abc import Callable, Collection
from datetime import datetime
from shlex import quote
from typing import Any, TypeVar

import click

from deploy.cli.moment import Moment
from deploy.settings import Settings
from outbox.operators.letter_list import Selection, waiting_of
from outbox.operators.queries import Record, snapshot
from schemas.rejection import Reason

F = TypeVar("F", bound=Callable[..., Any])


def selecting(command: F) -> F:
    """Add the options that select letters."""
    for option in (
        click.option("--until", type=Moment(), metavar="TIME", help="Refused then or before (ISO 8601, UTC)."),
        click.option("--since", type=Moment(), metavar="TIME", help="Refused then or later (ISO 8601, UTC)."),
        click.option("--order", "order_id", metavar="ID", help="Of this order."),
        click.option("--reason", type=click.Choice([reason.value for reason in Reason]), help="Refused for this."),
        click.option("--topic", help="Of this topic, with or without the prefix."),
    ):
        command = option(command)
    return command


def selection(
    settings: Settings,
    *,
    topic: str | None,
    reason: str | None,
    order_id: str | None,
    since: datetime | None,
    until: datetime | None,
    **more: Any,
) -> Selection:
    """Return the selection that the options describe. more: its other fields."""
    if topic is not None:
        from schemas.topics import CONSUMED, topic_name  # noqa: PLC0415 - loads every event, and a list needs none

        event_type = topic.removeprefix(settings.topic_prefix)
        if event_type not in CONSUMED:
            raise click.BadParameter(f"nobody here reads a topic {topic}; those that are read: {', '.join(CONSUMED)}")
        topic = topic_name(settings.topic_prefix, event_type)
    return Selection(topic, reason, order_id, since, until, **more)


def left_waiting(settings: Settings, records: Collection[Record]) -> list[dict[str, Any]]:
    """Return the orders of these letters that have others in quarantine: how many, and the command that takes them."""
    order_ids = {record["order_id"] for record in records} - {None}
    dealt_with = {str(record["id"]) for record in records}
    with snapshot(settings.sqlalchemy_url()) as connection:
        waiting = waiting_of(connection, order_ids)
    counts = {order_id: len(set(names) - dealt_with) for order_id, names in sorted(waiting.items())}
    return [
        {"order_id": order_id, "waiting": count, "command": f"payments dlq redrive --order {quote(order_id)}"}
        for order_id, count in counts.items()
        if count
    ]
