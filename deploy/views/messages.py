"""Messages to customers: as JSON shows them, and for people."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from deploy.views.tables import table
from deploy.views.times import ago
from outbox.operators.queries import Record

FIELDS = (
    "event_id",
    "order_id",
    "customer_id",
    "kind",
    "state",
    "occurred_at",
    "recorded_at",
    "sent_at",
    "tries",
    "due_at",
    "error",
    "by",
    "reason",
)


def document(record: Record, **more: object) -> dict[str, object]:
    """Return a message as JSON. more: further fields."""
    return {name: record[name] for name in FIELDS} | more


def message_lines(records: Iterable[Record], now: datetime) -> Iterator[str]:
    """Show messages as a table."""
    rows = [
        (
            str(record["event_id"]),
            record["order_id"],
            record["kind"],
            record["state"],
            ago(now - record["recorded_at"]),
            "" if record["sent_at"] is None else ago(now - record["sent_at"]),
            str(record["tries"] or ""),
            record["error"] or "",
        )
        for record in records
    ]
    heads = ("id", "order", "kind", "state", "asked for", "sent", "tries", "why not")
    yield from table(heads, rows, right=frozenset({6}))
