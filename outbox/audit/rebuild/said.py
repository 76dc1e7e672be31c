"""What one message says of its order, as a row of the scratch schema: one table for openings and events of ours."""

import hashlib
from typing import Final, NamedTuple
from uuid import UUID

from domain.decision import event_id
from domain.ids import OrderId
from outbox.driver.batches import Column, Insert, insert, word
from schemas import events as e
from schemas.records import Event, OwnEvent
from schemas.topics import TOPICS

OPENS: Final = e.OrderConfirmed.TYPE
"""The one event of upstream that is read: it opens an order. Whatever else others ask for, our events tell."""
READ: Final = (OPENS, *(event_type for event_type, topic in TOPICS.items() if topic.ours))
"""The event types whose topics are read."""


class Said(NamedTuple):
    """One event of an order. version 0: an OrderConfirmed, with the order's total as the amount.

    attempt: 0 if the event names none. word: money of PaymentFailed, operation of PaymentReviewRequired. flag: captured
    of PaymentAuthorized; of an opening, whether its consumer has committed an offset behind it. body: a hash of the
    message, by which copies are told from two messages under one id.
    """

    order_id: str
    version: int
    ordinal: int
    event_id: UUID
    type: str
    attempt: int
    amount_minor: int
    currency: str
    transaction_id: str | None
    refund_id: str | None
    reservation_id: UUID | None
    word: str
    flag: bool
    body: int


COLUMNS: Final = (
    word("order_id", "the order"),
    Column("order_version", "bigint", "the order's version; 0: its OrderConfirmed"),
    Column("ordinal", "integer", "place among the events of the decision"),
    Column("event_id", "uuid", "the event"),
    word("type", "the event's type"),
    Column("attempt", "integer", "the attempt that it names; 0: none"),
    Column("amount_minor", "bigint", "minor units"),
    word("currency", "ISO 4217; empty: it names none"),
    Column("transaction_id", nullable=True, comment="the gateway's id of the transaction"),
    Column("refund_id", nullable=True, comment="the gateway's id of the refund"),
    Column("reservation_id", "uuid", "the hold", nullable=True),
    word("word", "where the money is, or the call in question"),
    Column("flag", "boolean", "captured at once; of an OrderConfirmed: its consumer has gone on behind it"),
    Column("body", "bigint", "a hash of the message", kind="number"),
)
TABLE: Final = "said"
INSERT: Final[Insert] = insert(TABLE, COLUMNS)


def said_of(event: Event, value: bytes | None, *, consumed: bool) -> Said | None:
    """Return what an event says. None: its id is not the one that we give to such an event, so it is not ours.

    event: of READ. consumed: whether the consumers have committed an offset behind it.
    """
    body = int.from_bytes(hashlib.blake2b(value or b"", digest_size=8).digest(), "big", signed=True)
    if isinstance(event, e.OrderConfirmed):
        opened = event.order_id, 0, 0, event.event_id, OPENS, 1, event.total_minor, event.currency
        return Said(*opened, None, None, None, "", consumed, body)
    assert isinstance(event, OwnEvent)
    place = OrderId(event.order_id), event.order_version, event.ordinal, event.TYPE
    if event.event_id.int != event_id(*place).int:
        return None
    return Said(
        order_id=event.order_id,
        version=event.order_version,
        ordinal=event.ordinal,
        event_id=event.event_id,
        type=event.TYPE,
        attempt=getattr(event, "attempt", 0),
        amount_minor=getattr(event, "amount_minor", 0),
        currency=getattr(event, "currency", ""),
        transaction_id=getattr(event, "transaction_id", None),
        refund_id=getattr(event, "refund_id", None),
        reservation_id=getattr(event, "reservation_id", None),
        word=_word_of(event),
        flag=getattr(event, "captured", False),
        body=body,
    )


def _word_of(event: OwnEvent) -> str:
    if isinstance(event, e.PaymentReviewRequired):
        return event.operation.value
    if isinstance(event, e.PaymentFailed):
        return event.money.value
    return ""
