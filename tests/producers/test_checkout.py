"""The checkout stand-in: what it fills in, what it refuses, and what it sends unchecked."""

import json
import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from producers.checkout import BadLine, Checkout, Prepared
from schemas.codec import Codec
from schemas.events import OrderConfirmed, PaymentMethod, PaymentMethodKind, PaymentRetryRequested
from schemas.records import Line
from schemas.rejection import Reason, Rejected

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
CODEC = Codec()

SAVED: dict[str, Any] = {"kind": "CARD", "token": "pm_1", "gateway_customer_id": "cus_1", "off_session": True}


def order(**changes: Any) -> dict[str, Any]:
    """Build an OrderConfirmed of 2 x 500 + 250 - 50 + 100 = 1300; a value of ... takes the field away."""
    fields = {
        "type": "OrderConfirmed",
        "order_id": "order-1",
        "customer_id": "customer-1",
        "currency": "EUR",
        "lines": [{"sku": "tea", "quantity": 2, "unit_price_minor": 500}],
        "discount_minor": 50,
        "delivery_fee_minor": 250,
        "service_fee_minor": 100,
        "total_minor": 1300,
        "payment_method": {"kind": "CARD", "token": "pm_card_visa"},
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ...}


def prepare(*lines: dict[str, Any] | bytes, checked: bool = True, seed: int = 1) -> Prepared:
    draw = random.Random(seed)
    checkout = Checkout(CODEC, "test.", NOW, lambda: UUID(int=draw.getrandbits(128), version=4), checked)
    return checkout.prepare(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)


def only_event(prepared: Prepared, event_type: str) -> Any:
    (message,) = prepared.messages
    return CODEC.decode(event_type, message.key, message.value)


def test_a_line_becomes_the_event_with_what_was_absent_filled_in() -> None:
    prepared = prepare(order())
    event = only_event(prepared, "OrderConfirmed")
    assert event == OrderConfirmed(
        event_id=UUID(int=random.Random(1).getrandbits(128), version=4),
        occurred_at=NOW,
        order_id="order-1",
        correlation_id=event.correlation_id,
        causation_id=None,
        customer_id="customer-1",
        currency="EUR",
        lines=(Line(sku="tea", quantity=2, unit_price_minor=500),),
        discount_minor=50,
        delivery_fee_minor=250,
        service_fee_minor=100,
        tax_minor=0,
        total_minor=1300,
        payment_method=PaymentMethod(kind=PaymentMethodKind.CARD, token="pm_card_visa"),
    )
    (message,) = prepared.messages
    assert (message.id, message.topic, message.key) == (1, "test.OrderConfirmed", b"order-1")
    assert dict(message.headers)["ce_source"] == b"/checkout"
    assert prepared.counts == {"OrderConfirmed": 1}


def test_what_is_given_is_kept() -> None:
    given = {
        "event_id": "11111111-1111-4111-8111-111111111111",
        "occurred_at": "2026-01-01T01:00:00.000001+01:00",
        "correlation_id": "c-1",
        "causation_id": "22222222-2222-4222-8222-222222222222",
    }
    event = only_event(prepare(order(**given)), "OrderConfirmed")
    assert (str(event.event_id), event.correlation_id, str(event.causation_id)) == (
        given["event_id"],
        "c-1",
        given["causation_id"],
    )
    assert event.occurred_at == datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)


def test_all_events_of_an_order_share_a_correlation_id_in_whatever_file_they_stand() -> None:
    retry = {
        "type": "PaymentRetryRequested",
        "order_id": "order-1",
        "after_attempt": 1,
        "payment_method": {"kind": "WALLET", "token": "pm_wallet_captured"},
    }
    first = only_event(prepare(order()), "OrderConfirmed")
    second = only_event(prepare(retry, seed=2), "PaymentRetryRequested")
    assert isinstance(second, PaymentRetryRequested)
    assert first.correlation_id == second.correlation_id
    assert first.event_id != second.event_id


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "type must be one of OrderConfirmed, PaymentRetryRequested"),
        ({"type": "OrderShipped"}, "type must be one of"),
        ({"type": ["OrderConfirmed"]}, "type must be one of"),
        (order(total_minor=1), "total_mismatch: total_minor is 1, but its parts make 1300"),
        (order(total_minor="1300"), "total_minor: "),
        (order(total_minor=10**30), "total_minor: "),
        (order(currency="EUX"), "unknown_currency: "),
        (order(lines=[]), "lines: "),
        (order(lines=[{"sku": "tea", "quantity": 0, "unit_price_minor": 500}]), "lines.0.quantity: "),
        (order(order_id="order 1"), "order_id: "),
        (order(order_id=...), "order_id: Field required"),
        (order(payment_method=None), "invalid_field: payment_method"),
        (order(payment_method={"kind": "CARD", "token": "4242424242424242"}), "card_number: "),
        (order(payment_method=SAVED | {"gateway_customer_id": "4242424242424242"}), "card_number: "),
        (order(payment_method=SAVED | {"gateway_customer_id": None}), "invalid_field: payment_method.off_session"),
        (order(payment_method=SAVED | {"off_session": "yes"}), "payment_method.off_session: "),
        (order(occurred_at=1_769_860_800), "occurred_at: must be a time in ISO 8601"),
        (order(occurred_at="1769860800"), "occurred_at: must be a time in ISO 8601"),
        (order(occurred_at="2026-01-31T12:00:00"), "occurred_at: "),
        (order(total=1), "total: Extra inputs"),
        (order(key="order-2"), "key and raw_hex are for unchecked lines only"),
        ({"type": "OrderConfirmed", "raw_hex": "00"}, "key and raw_hex are for unchecked lines only"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_what_is_wrong(line: dict[str, Any] | bytes, says: str) -> None:
    prepared = prepare(order(), b"", line, order(order_id="order-3"))
    ((number, problem),) = [(bad.number, bad.problem) for bad in prepared.bad]
    assert number == 3
    assert says in problem
    assert "\n" not in problem
    assert "4242" not in problem
    assert [message.id for message in prepared.messages] == [1, 4]


def test_a_saved_method_is_published() -> None:
    event = only_event(prepare(order(payment_method=SAVED)), "OrderConfirmed")
    assert isinstance(event, OrderConfirmed)
    assert event.payment_method == PaymentMethod(
        kind=PaymentMethodKind.CARD, token="pm_1", gateway_customer_id="cus_1", off_session=True
    )


def test_all_wrong_lines_are_told() -> None:
    assert [bad.number for bad in prepare(b"x", order(), b"y").bad] == [1, 3]


def test_unchecked_a_right_event_has_the_same_bytes() -> None:
    assert prepare(order(), checked=False) == prepare(order())
    (checked,) = prepare(order()).messages
    (raw,) = prepare(order(key="order-1"), checked=False).messages
    assert (raw.key, raw.value) == (checked.key, checked.value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (order(total_minor=1), Reason.TOTAL_MISMATCH),
        (order(currency="EUX"), Reason.UNKNOWN_CURRENCY),
        (order(order_id="order 1"), Reason.INVALID_FIELD),
        (order(event_id="not a uuid"), Reason.INVALID_FIELD),
        (order(payment_method={"kind": "CARD", "token": "4242424242424242"}), Reason.CARD_NUMBER),
        (order(key="order-2"), Reason.KEY_MISMATCH),
        (order(key=None), Reason.KEY_MISMATCH),
        ({"type": "OrderConfirmed", "raw_hex": "c0ffee", "key": "order-1"}, Reason.UNDECODABLE),
        ({"type": "OrderConfirmed", "raw_hex": ""}, Reason.UNDECODABLE),
    ],
)
def test_unchecked_a_wrong_event_is_sent_for_its_reader_to_refuse(line: dict[str, Any], reason: Reason) -> None:
    (message,) = prepare(line, checked=False).messages
    with pytest.raises(Rejected) as caught:
        CODEC.decode("OrderConfirmed", message.key, message.value)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (order(customer_id=...), "ValueError while writing OrderConfirmed"),
        (order(lines=[{"sku": "tea"}]), "while writing OrderConfirmed; give the body as raw_hex"),
        ({"type": "OrderConfirmed", "raw_hex": "xyz"}, "give the body as raw_hex"),
        ({"type": "OrderConfirmed", "raw_hex": 1}, "give the body as raw_hex"),
        (order(key=1), "key must be text"),
        (b"{", "not JSON"),
    ],
)
def test_unchecked_what_has_no_bytes_is_still_refused(line: dict[str, Any] | bytes, says: str) -> None:
    (bad,) = prepare(line, checked=False).bad
    assert isinstance(bad, BadLine)
    assert says in bad.problem
