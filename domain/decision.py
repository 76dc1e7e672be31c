"""What plan and settle return: the changed order and the events to emit, or why a message is refused."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.disputing import KnownDispute
from domain.erasing import erase_tokens
from domain.ids import EventId, Namespace, OrderId
from domain.order import Order
from domain.outcome import Missing
from domain.rules import Context
from domain.values import Value, replace
from schemas.events import OwnEvent, validate
from schemas.rejection import Reason

EVENTS = Namespace(UUID("c0a5e6a4-7d5f-5c0e-9f0b-0d6b1d0c9b7e"))


class Notification(Value, frozen=True):
    """One message to a customer. key: the event id, so that it is sent once. stale: too old; record it, do not send.

    text: the sentence that says why; empty if nothing failed. send_until: afterwards it is stale. The other fields are
    those of the event, in minor units and UTC.
    """

    key: EventId
    order_id: OrderId
    customer_id: str
    kind: str
    text: str
    occurred_at: datetime
    stale: bool = False
    send_until: datetime | None = None
    failure_code: str | None = None
    amount_minor: int = 0
    currency: str = ""
    money: str = ""
    retryable: bool = False
    retry_until: datetime | None = None
    missing: tuple[Missing, ...] = ()


class Adjustment(Value, frozen=True):
    """Units of a SKU that came in or, negative, went out. event_id: of the warehouse's event, which says why."""

    event_id: EventId
    sku: str
    delta: int
    reason: str


class Decision(Value, frozen=True):
    """order: the new state; None if there is nothing to write. events: in the order of their ordinals.

    refused: the message becomes a dead letter, for this reason. alarm: the reason of an alarm to log. dispute: as it is
    to be kept. adjustments: of the stock; the inventory refuses what would take it below zero. early: the message waits
    for its order.
    """

    order: Order | None
    events: tuple[OwnEvent, ...] = ()
    refused: Reason | None = None
    detail: str = ""
    alarm: str | None = None
    notifications: tuple[Notification, ...] = ()
    dispute: KnownDispute | None = None
    adjustments: tuple[Adjustment, ...] = ()
    early: bool = False


class Draft(Value, frozen=True):
    """An event without the fields that all events share. Records inside it are dicts."""

    event: type[OwnEvent]
    fields: Mapping[str, Any]


def event_id(order_id: OrderId, version: int, ordinal: int, event_type: str) -> EventId:
    """Derive the id of an event from its place in the order's history: deciding twice gives the same id."""
    return EventId(EVENTS.derive(f"{order_id}:{version}:{ordinal}:{event_type}"))


def emit(order: Order, context: Context, *drafts: Draft) -> Decision:
    """Increase the order's version by one and emit these events with it."""
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
    return Decision(erase_tokens(replace(order, version=version)), tuple(events))


def silent(order: Order) -> Decision:
    """Write the order and emit no event."""
    return Decision(erase_tokens(order))


def refuse(reason: Reason, detail: str) -> Decision:
    """Make the message a dead letter."""
    return Decision(None, refused=reason, detail=detail)


NOTHING = Decision(None)
