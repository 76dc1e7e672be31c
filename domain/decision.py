"""What plan and settle return: the order as it is now, the events to emit, or why a message is refused."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.ids import EventId, Namespace, OrderId
from domain.order import Order
from domain.rules import Context
from domain.values import Value, replace
from schemas.events import OwnEvent, validate
from schemas.rejection import Reason

EVENTS = Namespace(UUID("c0a5e6a4-7d5f-5c0e-9f0b-0d6b1d0c9b7e"))


class Notification(Value, frozen=True):
    """One message to a customer. key is the event id, for the notifier to send once; stale: record it, do not send."""

    key: EventId
    order_id: OrderId
    customer_id: str
    kind: str
    text: str
    occurred_at: datetime
    stale: bool = False


class Decision(Value, frozen=True):
    """order: the new state, None when there is none to write. events: in the order of their ordinals.

    refused: the message goes to the dead letters, for this reason. alarm: an operator must look, nothing is lost.
    """

    order: Order | None
    events: tuple[OwnEvent, ...] = ()
    refused: Reason | None = None
    detail: str = ""
    alarm: str | None = None
    notifications: tuple[Notification, ...] = ()


class Draft(Value, frozen=True):
    """An event without what every event of an order has. Records inside it are dicts: the event makes them."""

    event: type[OwnEvent]
    fields: Mapping[str, Any]


def event_id(order_id: OrderId, version: int, ordinal: int, event_type: str) -> EventId:
    """Derive the id of an event from its place in the order's history: deciding twice names the same event."""
    return EventId(EVENTS.derive(f"{order_id}:{version}:{ordinal}:{event_type}"))


def emit(order: Order, context: Context, *drafts: Draft) -> Decision:
    """Raise the order's version by one and emit these events under it."""
    version = order.version + 1
    events = [
        validate(
            draft.event,
            {
                "event_id": event_id(order.order_id, version, ordinal, draft.event.TYPE),
                "occurred_at": context.at,
                "order_id": order.order_id,
                "correlation_id": order.correlation_id,
                "causation_id": context.causation_id,
                "order_version": version,
                "ordinal": ordinal,
                **draft.fields,
            },
        )
        for ordinal, draft in enumerate(drafts)
    ]
    return Decision(replace(order, version=version), tuple(events))


def silent(order: Order) -> Decision:
    """Write the order as it is now; nothing that others need to know has happened."""
    return Decision(order)


def refuse(reason: Reason, detail: str) -> Decision:
    """Send the message to the dead letters."""
    return Decision(None, refused=reason, detail=detail)


NOTHING = Decision(None)
