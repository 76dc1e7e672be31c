"""Every bound on a part has one on the sum: of units of one SKU, and of bytes of an event."""

import tracemalloc
from typing import Any, Final

import pytest

from schemas import events, fields
from schemas.codec import Codec
from schemas.framing import HEADS
from schemas.models import EVENTS
from schemas.records import Item, Line, MissingItem, OwnEvent
from schemas.rejection import Reason, Rejected
from tests.schemas import wire
from tests.schemas.builders import AT, one_of_each, order_confirmed

CODEC: Final = Codec()
KEY: Final = b"order-1"
LONGEST: Final = "\U0010ffff"
SKUS: Final = tuple(f"{n:04}{LONGEST * 60}" for n in range(fields.LINES_MAX))


def free(*lines: tuple[str, int]) -> events.OrderConfirmed:
    """Build an order that costs nothing."""
    made = [Line(sku=sku, quantity=quantity, unit_price_minor=0) for sku, quantity in lines]
    fees = dict.fromkeys(("discount_minor", "delivery_fee_minor", "service_fee_minor", "tax_minor"), 0)
    return order_confirmed(lines=made, payment_method=None, **fees)


def read(event: events.Event, codec: Codec = CODEC) -> events.Event:
    return codec.decode(event.TYPE, event.subject.encode(), CODEC.encode(event))


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([("tea", 2_000_000_000)] * 2, id="two lines of two milliards"),
        pytest.param([("tea", fields.INT_MAX), ("tea", 1)], id="one unit too many"),
        pytest.param([("tea", 2_147_484)] * 1_000, id="a thousand lines"),
        pytest.param([("tea", fields.INT_MAX), ("mug", 1), ("tea", 1)], id="with another SKU between"),
    ],
)
def test_lines_of_one_sku_that_come_to_more_than_one_line_may_are_an_invalid_field(
    lines: list[tuple[str, int]],
) -> None:
    with pytest.raises(Rejected) as refused:
        read(free(*lines))
    assert refused.value.reason is Reason.INVALID_FIELD
    assert refused.value.detail.startswith("lines: the lines of one SKU come to more than 2147483647 units.")
    assert "tea" not in refused.value.detail


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([("tea", fields.INT_MAX - 1), ("tea", 1)], id="the most of one SKU"),
        pytest.param([("tea", fields.INT_MAX), ("mug", fields.INT_MAX)], id="the most of two SKUs"),
    ],
)
def test_lines_that_come_to_the_most_are_accepted(lines: list[tuple[str, int]]) -> None:
    order = free(*lines)

    assert read(order) == order


def largest(event: events.Event) -> events.Event:
    """Fill an event with the largest value of every field."""
    of: dict[str, Any] = {
        "order_id": "o" * 64,
        "correlation_id": LONGEST * 255,
        "customer_id": LONGEST * 128,
        "transaction_id": LONGEST * 255,
        "refund_id": LONGEST * 255,
        "failure_code": "c" * 64,
        "currency": "EUR",
        "order_version": fields.LONG_MAX,
        "ordinal": fields.INT_MAX,
        "attempt": fields.INT_MAX,
        "url": "https://" + "u" * (fields.URL_LENGTH_MAX - 8),
        "amount_minor": fields.LONG_MAX,
        "causation_id": event.event_id,
        "retry_until": AT,
        "authorization_expires_at": AT,
        "lines": [Item(sku=sku, quantity=fields.UNITS_MAX) for sku in SKUS],
        "missing": [MissingItem(sku=sku, requested=fields.UNITS_MAX, available=fields.LONG_MAX) for sku in SKUS],
    }
    if isinstance(event, events.PaymentFailed | events.CustomerNotificationRequested):
        of["reason"] = LONGEST * 500
    elif isinstance(event, events.PaymentReviewRequired):
        of["reason"] = "r" * 64
    known = type(event).model_fields
    return type(event).model_validate(event.model_dump() | {name: of[name] for name in of if name in known})


OURS: Final = [event for event in one_of_each() if isinstance(event, OwnEvent)]


@pytest.mark.parametrize("event", [pytest.param(event, id=event.TYPE) for event in OURS])
def test_no_event_of_ours_is_larger_than_may_be_written_and_read(event: OwnEvent) -> None:
    most = largest(event)

    assert len(CODEC.encode(most)) <= fields.LARGEST_EVENT_BYTES
    assert read(most, Codec(message_bytes_max=1_000)) == most


def test_there_is_a_largest_one_of_every_event_of_ours() -> None:
    assert {event.TYPE for event in OURS} == {name for name, model in EVENTS.items() if issubclass(model, OwnEvent)}


def test_what_is_larger_than_any_event_of_ours_is_refused_before_it_is_looked_at() -> None:
    with pytest.raises(Rejected) as refused:
        Codec(message_bytes_max=1_000).decode("ItemsReserved", KEY, bytes(fields.LARGEST_EVENT_BYTES + 1))
    assert refused.value.reason is Reason.TOO_LARGE
    with pytest.raises(Rejected) as other:
        Codec(message_bytes_max=1_000).decode("OrderConfirmed", KEY, bytes(1_001))
    assert other.value.reason is Reason.TOO_LARGE


def test_the_largest_order_is_read_under_the_default_limit() -> None:
    lines = [Line(sku=sku, quantity=2_147_483, unit_price_minor=0) for sku in SKUS]
    order = order_confirmed(lines=lines, order_id="o" * 64, correlation_id=LONGEST * 255, customer_id=LONGEST * 128)

    assert read(order) == order


def test_what_was_read_leaves_no_long_texts_in_memory() -> None:
    """Senders draw the SKUs: remembering a few thousand long ones would take gigabytes."""

    def refuse(number: int) -> None:
        line = wire.text(f"{number}" + "x" * 100_000) + wire.long(1) + wire.long(number)
        body = wire.order(lines=wire.long(1) + line + wire.long(0))
        with pytest.raises(Rejected):
            CODEC.decode("OrderConfirmed", KEY, HEADS["OrderConfirmed"] + body)

    refuse(0)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1, 20):
            refuse(number)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 500_000
