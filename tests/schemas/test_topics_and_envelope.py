"""The topic table and the headers."""

import pytest

from schemas.envelope import headers
from schemas.models import EVENTS
from schemas.topics import CONSUMED, TOPICS, Publisher, dead_letter_topic, event_type_of, topic_name
from tests.schemas.builders import event_id, order_confirmed


def test_the_table_says_who_publishes_and_what_is_consumed() -> None:
    upstream = {event_type: topic.publisher for event_type, topic in TOPICS.items() if not topic.ours}

    assert upstream == {
        "OrderConfirmed": Publisher.CHECKOUT,
        "PaymentRetryRequested": Publisher.STOREFRONT,
        "OrderCancelRequested": Publisher.STOREFRONT,
        "RefundRequested": Publisher.SERVICE,
        "PreparationStarted": Publisher.PREPARATION,
        "StockAdjusted": Publisher.WAREHOUSE,
    }
    assert CONSUMED == (
        "OrderConfirmed",
        "PaymentRetryRequested",
        "OrderCancelRequested",
        "RefundRequested",
        "StockAdjusted",
        "PaymentAuthorized",
        "ItemsReserved",
        "ReservationFailed",
        "PreparationStarted",
        "PaymentFailed",
        "OrderCancelled",
        "CustomerNotificationRequested",
    )


@pytest.mark.parametrize("prefix", ["", "shop."])
def test_a_topic_is_its_event_behind_the_prefix(prefix: str) -> None:
    for event_type in EVENTS:
        assert topic_name(prefix, event_type) == prefix + event_type
        assert dead_letter_topic(prefix, event_type) == f"{prefix}{event_type}.dlt"
        assert event_type_of(prefix, prefix + event_type) == event_type


@pytest.mark.parametrize(
    "topic", ["OrderConfirmed", "shop.", "shop.OrderConfirmed.dlt", "shop.Other", "xshop.OrderConfirmed"]
)
def test_a_topic_of_somebody_else_is_not_in_the_table(topic: str) -> None:
    with pytest.raises(ValueError, match="topic table"):
        event_type_of("shop.", topic)


def test_the_headers_are_cloudevents() -> None:
    event = order_confirmed()

    assert headers(event, source="/checkout", traceparent="00-1-2-01") == [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event_id("OrderConfirmed of order-1")).encode()),
        ("ce_source", b"/checkout"),
        ("ce_type", b"OrderConfirmed"),
        ("ce_time", b"2026-03-01T12:00:00.123456Z"),
        ("ce_subject", b"order-1"),
        ("content-type", b"application/avro"),
        ("traceparent", b"00-1-2-01"),
    ]
    assert dict(headers(event))["ce_source"] == b"/payments"
    assert "traceparent" not in dict(headers(event))
