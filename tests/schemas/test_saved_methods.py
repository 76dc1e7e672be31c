"""A payment method that the gateway keeps for a customer: at the door, in older messages, and where nobody sees it."""

from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader

from schemas.codec import Codec
from schemas.events import OrderConfirmed, PaymentMethod
from schemas.rejection import Reason, Rejected
from schemas.releases import Released, releases
from schemas.shapes import load
from tests.schemas import wire
from tests.schemas.builders import order_confirmed, payment_retry_requested
from tests.schemas.wire import long, text

CODEC = Codec()
KEY = b"order-1"
SAVED: dict[str, Any] = {"kind": "CARD", "token": "pm_1", "gateway_customer_id": "cus_1", "off_session": True}
CARDS = [
    "4242424242424242",
    "4242 4242 4242 4242",
    "4242-4242-4242-4242",
    "cus_4242424242424242",
    "cus 4242424242424242",
    "12345",
]


def order_body(customer_id: str | None, *, off_session: bool = False) -> bytes:
    method = wire.method("pm_card_visa", customer_id, off_session=off_session)
    return wire.single_object(load("OrderConfirmed"), wire.order(payment_method=long(1) + method))


def refusal(event_type: str, value: bytes) -> Rejected:
    with pytest.raises(Rejected) as refused:
        CODEC.decode(event_type, KEY, value)
    return refused.value


def test_a_saved_method_is_read_from_the_bytes_that_other_languages_write() -> None:
    expected = {"kind": "CARD", "token": "pm_card_visa", "gateway_customer_id": "cus_1"}
    for off_session in (False, True):
        order = order_confirmed(payment_method=expected | {"off_session": off_session})
        assert CODEC.decode("OrderConfirmed", KEY, order_body("cus_1", off_session=off_session)) == order
        assert CODEC.encode(order) == order_body("cus_1", off_session=off_session)


@pytest.mark.parametrize("number", CARDS)
def test_a_card_number_as_or_in_a_customers_id_is_refused_and_never_quoted(number: str) -> None:
    method = {"kind": "CARD", "token": "pm_1", "gateway_customer_id": number}
    retry = CODEC.encode(payment_retry_requested(payment_method=method))

    for refused in (refusal("OrderConfirmed", order_body(number)), refusal("PaymentRetryRequested", retry)):
        assert refused.reason is Reason.CARD_NUMBER
        assert refused.detail.startswith("payment_method.gateway_customer_id is or may be a card number.")
        assert number not in refused.detail


def test_a_card_number_in_a_customers_id_is_hidden_in_the_dead_letter() -> None:
    body = order_body("cus_4242424242424242")
    assert CODEC.mask("OrderConfirmed", body) == (body.replace(b"4242424242424242", b"*" * 16), 1)
    assert CODEC.mask("OrderConfirmed", order_body("cus_1")) == (order_body("cus_1"), 0)


@pytest.mark.parametrize("kind", ["CARD", "WALLET", "BANK", "OTHER"])
def test_a_customer_who_is_away_has_a_saved_method_or_the_message_is_refused(kind: str) -> None:
    method = {"kind": kind, "token": "pm_1", "off_session": True}
    order, retry = order_confirmed(payment_method=method), payment_retry_requested(payment_method=method)

    for refused in (refusal(event.TYPE, CODEC.encode(event)) for event in (order, retry)):
        assert refused.reason is Reason.INVALID_FIELD
        assert refused.detail.startswith("payment_method.off_session: true without gateway_customer_id.")


def test_no_representation_shows_a_customers_id() -> None:
    order = order_confirmed(payment_method=SAVED | {"gateway_customer_id": "cus_secret"})
    assert "cus_secret" not in f"{order!r} {order} {order.payment_method!r}"


def of_0_1_0(event_type: str) -> Released:
    (found,) = [r for r in releases() if (r.release, r.event_type) == ("0.1.0", event_type)]
    return found


def test_a_body_of_the_first_release_says_that_nothing_is_saved() -> None:
    body = wire.order(payment_method=long(1) + long(0) + text("pm_card_visa"))

    order = CODEC.decode("OrderConfirmed", KEY, wire.single_object(of_0_1_0("OrderConfirmed").schema, body))

    assert isinstance(order, OrderConfirmed)
    assert order == order_confirmed()
    assert order.payment_method == PaymentMethod(
        kind="CARD", token="pm_card_visa", gateway_customer_id=None, off_session=False
    )


def test_a_retry_of_the_first_release_says_that_nothing_is_saved() -> None:
    head = b"".join(wire.ORDER[name] for name in list(wire.ORDER)[1:5])
    retry = payment_retry_requested()
    body = text(str(retry.event_id)) + head + long(1) + long(0) + text("pm_card_visa")

    schema = of_0_1_0("PaymentRetryRequested").schema

    assert CODEC.decode("PaymentRetryRequested", KEY, wire.single_object(schema, body)) == retry


@pytest.mark.parametrize("event_type", ["OrderConfirmed", "PaymentRetryRequested"])
def test_a_process_of_the_first_release_reads_a_saved_method_without_what_it_does_not_know(event_type: str) -> None:
    events = {"OrderConfirmed": order_confirmed, "PaymentRetryRequested": payment_retry_requested}
    body = CODEC.encode(events[event_type](payment_method=SAVED))[10:]
    old = of_0_1_0(event_type).schema

    read = schemaless_reader(BytesIO(body), parse_schema(load(event_type)), parse_schema(old))

    assert isinstance(read, dict)
    assert read["payment_method"] == {"kind": "CARD", "token": "pm_1"}


def test_a_message_of_the_first_release_on_another_events_topic_is_still_told_apart() -> None:
    body = wire.single_object(of_0_1_0("OrderConfirmed").schema, b"")
    refused = refusal("PaymentRetryRequested", body)
    assert (refused.reason, "This is a OrderConfirmed" in refused.detail) == (Reason.WRONG_SCHEMA, True)


def test_a_card_number_in_a_body_of_the_first_release_is_hidden_where_it_stands() -> None:
    method = long(1) + long(0) + text("4242424242424242")
    order_id = text("378282246310005")
    body = wire.single_object(of_0_1_0("OrderConfirmed").schema, wire.order(order_id=order_id, payment_method=method))
    assert CODEC.mask("OrderConfirmed", body) == (body.replace(b"4242424242424242", b"*" * 16), 1)
