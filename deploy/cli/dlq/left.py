"""What an order still has in quarantine once one of its letters was dealt with: told, or the order stands silently."""

from collections.abc import Collection, Iterator, Sequence
from shlex import quote
from typing import Any, Final

from deploy.settings import Settings
from outbox.operators.letter_list import waiting_of
from outbox.operators.queries import Record, snapshot

LINES_MAX: Final = 20


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


def left_lines(left: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Tell it to a person."""
    for one in left[:LINES_MAX]:
        yield f"order {one['order_id']} has {one['waiting']} more in quarantine, and waits: `{one['command']}`"
    if len(left) > LINES_MAX:
        yield f"... and {len(left) - LINES_MAX} more orders wait: `payments dlq redrive --all`"
