"""The topic table: who publishes which event, and which events this module consumes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from schemas import events
from schemas.records import Event


class Publisher(StrEnum):
    """The only one who may write to a topic."""

    CHECKOUT = "checkout"
    STOREFRONT = "storefront"
    SERVICE = "customer service"
    PREPARATION = "order preparation"
    WAREHOUSE = "warehouse"
    PAYMENTS = "payments"


@dataclass(frozen=True, slots=True)
class Topic:
    """One event's topic. consumed: this module reads it, so it has a dead letter topic."""

    model: type[Event]
    publisher: Publisher
    consumed: bool

    @property
    def ours(self) -> bool:
        """Return whether this module publishes it."""
        return self.publisher is Publisher.PAYMENTS

    @property
    def source(self) -> str:
        """Return CloudEvents' source of its events: the publisher, as a URI reference, which has no blanks."""
        return "/" + self.publisher.value.replace(" ", "-")


_TABLE: Final = (
    Topic(events.OrderConfirmed, Publisher.CHECKOUT, consumed=True),
    Topic(events.PaymentRetryRequested, Publisher.STOREFRONT, consumed=True),
    Topic(events.OrderCancelRequested, Publisher.STOREFRONT, consumed=True),
    Topic(events.RefundRequested, Publisher.SERVICE, consumed=True),
    Topic(events.StockAdjusted, Publisher.WAREHOUSE, consumed=True),
    Topic(events.CustomerActionRequired, Publisher.PAYMENTS, consumed=False),
    Topic(events.PaymentAuthorized, Publisher.PAYMENTS, consumed=True),
    Topic(events.ItemsReserved, Publisher.PAYMENTS, consumed=True),
    Topic(events.ReservationFailed, Publisher.PAYMENTS, consumed=True),
    Topic(events.PaidAndConfirmed, Publisher.PAYMENTS, consumed=False),
    Topic(events.PreparationStarted, Publisher.PREPARATION, consumed=True),
    Topic(events.PaymentFailed, Publisher.PAYMENTS, consumed=True),
    Topic(events.OrderCancelled, Publisher.PAYMENTS, consumed=True),
    Topic(events.CancellationRefused, Publisher.PAYMENTS, consumed=False),
    Topic(events.PaymentVoided, Publisher.PAYMENTS, consumed=False),
    Topic(events.PaymentRefunded, Publisher.PAYMENTS, consumed=False),
    Topic(events.PaymentRefundFailed, Publisher.PAYMENTS, consumed=False),
    Topic(events.RefundRefused, Publisher.PAYMENTS, consumed=False),
    Topic(events.ItemsRestocked, Publisher.PAYMENTS, consumed=False),
    Topic(events.PaymentDisputed, Publisher.PAYMENTS, consumed=False),
    Topic(events.PaymentDisputeClosed, Publisher.PAYMENTS, consumed=False),
    Topic(events.PaymentReviewRequired, Publisher.PAYMENTS, consumed=False),
    Topic(events.ReservationReleased, Publisher.PAYMENTS, consumed=False),
    Topic(events.CustomerNotificationRequested, Publisher.PAYMENTS, consumed=True),
)

TOPICS: Final[dict[str, Topic]] = {topic.model.TYPE: topic for topic in _TABLE}
"""By event type, in the order in which they happen to an order."""

EVENTS: Final[dict[str, type[Event]]] = {event_type: topic.model for event_type, topic in TOPICS.items()}

CONSUMED: Final[tuple[str, ...]] = tuple(event_type for event_type, topic in TOPICS.items() if topic.consumed)

_DEAD_LETTERS: Final = ".dlt"


def topic_name(prefix: str, event_type: str) -> str:
    """Return the name of the topic on the broker."""
    return prefix + event_type


def dead_letter_topic(prefix: str, event_type: str) -> str:
    """Return the topic to which refused messages of this event's topic are copied."""
    return topic_name(prefix, event_type) + _DEAD_LETTERS


def subject_name(prefix: str, event_type: str) -> str:
    """Return the subject of the event's schema in a registry."""
    return topic_name(prefix, event_type) + "-value"


def event_type_of(prefix: str, topic: str) -> str:
    """Return the event type whose topic this is.

    Raises ValueError for a topic that is not in the table, such as a dead letter topic.
    """
    event_type = topic.removeprefix(prefix)
    if topic.startswith(prefix) and event_type in TOPICS:
        return event_type
    raise ValueError(f"The topic {topic!r} is not in the topic table; check PAYMENTS_TOPIC_PREFIX.")
