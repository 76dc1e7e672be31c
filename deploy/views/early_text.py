"""Messages that came before their order: as JSON shows them, and for people."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from deploy.views.times import ago, moment
from outbox.operators.queries import Record
from schemas.texts import counted


def early_documents(early: Sequence[Record], prefix: str) -> list[dict[str, object]]:
    """Return them as JSON. prefix: of the topics."""
    return [
        {"type": row["topic"].removeprefix(prefix), **{name: row[name] for name in row if name != "topic"}}
        for row in early
    ]


def not_come(order_id: str, early: Sequence[Record], prefix: str, now: datetime) -> str:
    """Say that an order is not there, and what waits for it."""
    waits = ", ".join(_said(row, prefix, now) for row in early)
    return f"order {order_id} has not come yet, and this waits for it: {waits}"


def early_lines(early: Sequence[Record], prefix: str, now: datetime) -> Iterator[str]:
    """List what waits for orders that have not come."""
    if early:
        yield ""
        yield f"{counted(len(early), 'message waits', 'messages wait')} for an order that has not come:"
        yield from (f"  {row['order_id']}: {_said(row, prefix, now)}" for row in early)


def _said(row: Record, prefix: str, now: datetime) -> str:
    since, until = ago(now - row["received_at"]), moment(row["give_up_at"])
    return f"{row['topic'].removeprefix(prefix)} ({since}; a dead letter from {until} UTC on)"
