"""The topic table: who publishes which event, and which events this module consumes.

Events stand here by name: a relay needs their topics and never their fields. `models.py` has the class of each.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


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
    """The topic of one type of event. consumed: this module reads it, so it has a dead letter topic."""

    event_type: str
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
    Topic("OrderConfirmed", Publisher.CHECKOUT, consumed=True),
    Topic("PaymentRetryRequested", Publisher.STOREFRONT, consumed=True),
    Topic("OrderCancelRequested", Publisher.STOREFRONT, consumed=True),
    Topic("RefundRequested", Publisher.SERVICE, consumed=True),
    Topic("StockAdjusted", Publisher.WAREHOUSE, consumed=True),
    Topic("CustomerActionRequired", Publisher.PAYMENTS, consumed=False),
    Topic("PaymentAuthorized", Publisher.PAYMENTS, consumed=True),
    Topic("ItemsReserved", Publisher.PAYMENTS, consumed=True),
    Topic("ReservationFailed", Publisher.PAYMENTS, consumed=True),
    Topic("PaidAndConfirmed", Publisher.PAYMENTS, consumed=False),
    Topic("PreparationStarted", Publisher.PREPARATION, consumed=True),
    Topic("PaymentFailed", Publisher.PAYMENTS, consumed=True),
    Topic("OrderCancelled", Publisher.PAYMENTS, consumed=True),
    Topic("CancellationRefused", Publisher.PAYMENTS, consumed=False),
    Topic("PaymentVoided", Publisher.PAYMENTS, consumed=False),
    Topic("PaymentRefunded", Publisher.PAYMENTS, consumed=False),
    Topic("PaymentRefundFailed", Publisher.PAYMENTS, consumed=False),
    Topic("RefundRefused", Publisher.PAYMENTS, consumed=False),
    Topic("ItemsRestocked", Publisher.PAYMENTS, consumed=False),
    Topic("PaymentDisputed", Publisher.PAYMENTS, consumed=False),
    Topic("PaymentDisputeClosed", Publisher.PAYMENTS, consumed=False),
    Topic("PaymentReviewRequired", Publisher.PAYMENTS, consumed=False),
    Topic("ReservationReleased", Publisher.PAYMENTS, consumed=False),
    Topic("CustomerNotificationRequested", Publisher.PAYMENTS, consumed=True),
)

TOPICS: Final[dict[str, Topic]] = {topic.event_type: topic for topic in _TABLE}
"""By event type, in the order in which they happen to an order."""

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
