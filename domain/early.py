"""Messages that come before their order: they are kept for a while, and applied when it comes."""

from datetime import datetime
from typing import Final, NamedTuple

from domain.case import Case
from domain.decision import Decision
from domain.ids import EventId, OrderId

FIRST_LOOK_S: Final = 1.0
"""A message and its order may be planned at the same time, and miss each other. So it is looked for soon."""


class EarlyMessage(NamedTuple):
    """A message that came before its order, as it came.

    give_up_at: then it becomes a dead letter. look_at: when the sweep looks for its order. number: its place among all
    early messages, once it is stored.
    """

    group: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    body: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    event_id: EventId
    order_id: OrderId
    look_at: datetime
    give_up_at: datetime
    number: int = 0


def wait_for_order(_: Case) -> Decision:
    """Keep the message until its order comes. After PAYMENTS_EARLY_WAIT_S it becomes a dead letter."""
    return Decision(None, early=True)
