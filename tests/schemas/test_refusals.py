"""Every reason for which the codec refuses a message, and that nothing else gets in or is kept out."""

from typing import Any

import pytest

from producers.unchecked import encode_unchecked
from schemas.codec import Codec
from schemas.events import OrderConfirmed
from schemas.models import EVENTS
from schemas.rejection import Reason, Rejected
from schemas.shapes import load
from tests.schemas import wire
from tests.schemas.builders import order_confirmed, payment_authorized, payment_retry_requested
from tests.schemas.wire import LINE_1, LINE_2, long, text

CODEC = Codec()
KEY = b"order-1"
SCHEMA = load("OrderConfirmed")


def refusal(
    value: bytes | None, key: bytes | None = KEY, event_type: str = "OrderConfirmed", **settings: Any
) -> Rejected:
    with pytest.raises(Rejected) as refused:
        Codec(**settings).decode(event_type, key, value)
    assert refused.value.detail.endswith((".", ")."))
    assert str(refused.value) == f"{refused.value.reason}: {refused.value.detail}"
    assert refused.value.__cause__ is None, "a cause could quote the message"
    return refused.value


def framed(**fields: bytes) -> bytes:
    return wire.single_object(SCHEMA, wire.order(**fields))


def method(token: str, customer_id: str | None = None, *, off_session: bool = False) -> bytes:
    return long(1) + wire.method(token, customer_id, off_session=off_session)


def over_long(number: int, length: int) -> bytes:
    """Write a small non-negative number with groups of zeros that it does not need."""
    return bytes([number * 2 | 0x80, *[0x80] * (length - 2), 0])


def test_the_reasons_are_the_contracts() -> None:
    assert set(Reason) == {
        *("undecodable", "not_canonical", "too_large", "unknown_schema", "wrong_schema", "key_mismatch"),
        *("invalid_field", "total_mismatch", "unknown_currency", "amount_limit", "card_number", "conflict"),
        *("unknown_order", "too_old", "from_the_future", "illegal_transition", "quarantined", "unreadable"),
        "stock_short",
    }


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="no body"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xc3", id="half a marker"),
        pytest.param(b"\xc3\x01\x00", id="half a fingerprint"),
        pytest.param(b"\x00\x00\x01", id="half an id"),
        pytest.param(b'{"order_id": "order-1"}', id="JSON"),
        pytest.param(framed()[:-1], id="last byte missing"),
        pytest.param(framed()[:40], id="cut in the middle"),
        pytest.param(framed()[:10], id="framing only"),
        pytest.param(framed(payment_method=long(7) + wire.method("t")), id="no such branch"),
        pytest.param(framed(payment_method=long(1) + long(9) + wire.method("t")[1:]), id="no such symbol"),
        pytest.param(framed(customer_id=long(2) + b"\xff\xfe"), id="no UTF-8"),
        pytest.param(framed(customer_id=long(2**40) + b"abc"), id="text longer than the body"),
        pytest.param(framed(lines=long(2**50) + LINE_1), id="more lines than the body"),
    ],
)
def test_what_is_no_record_is_undecodable(value: bytes | None) -> None:
    assert refusal(value).reason is Reason.UNDECODABLE


@pytest.mark.parametrize("cut", range(10, len(framed())))
def test_a_body_cut_anywhere_is_refused(cut: int) -> None:
    assert refusal(framed()[:cut]).reason in {Reason.UNDECODABLE, Reason.NOT_CANONICAL}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(framed() + b"\x00", id="a byte left over"),
        pytest.param(framed() + framed()[10:], id="two records"),
        pytest.param(framed(payment_method=long(-1) + wire.method("pm_card_visa")), id="negative branch"),
        pytest.param(framed(payment_method=long(1) + long(-4) + wire.method("pm_card_visa")[1:]), id="negative symbol"),
        pytest.param(framed(tax_minor=over_long(40, 3)), id="number of three bytes where two do"),
        pytest.param(framed(tax_minor=over_long(40, 11)), id="number of eleven bytes"),
        pytest.param(framed(causation_id=over_long(0, 2)), id="branch of two bytes"),
        pytest.param(framed(order_id=over_long(7, 2) + b"order-1"), id="length of two bytes"),
        pytest.param(framed(lines=over_long(2, 3) + LINE_1 + LINE_2 + long(0)), id="block count of three bytes, first"),
        pytest.param(framed(lines=long(-2) + long(1) + LINE_1 + LINE_2 + long(0)), id="wrong block size"),
        pytest.param(framed(lines=long(-2) + long(-1) + LINE_1 + LINE_2 + long(0)), id="negative block size"),
        pytest.param(
            framed(lines=long(-2) + over_long(len(LINE_1 + LINE_2), 3) + LINE_1 + LINE_2 + long(0)),
            id="block size of three bytes",
        ),
        pytest.param(framed(lines=long(2) + LINE_1 + LINE_2 + over_long(0, 2)), id="end of blocks of two bytes"),
    ],
)
def test_another_encoding_of_the_same_is_not_canonical(value: bytes) -> None:
    assert refusal(value).reason is Reason.NOT_CANONICAL


def test_a_boolean_of_two_is_not_canonical() -> None:
    value = bytearray(CODEC.encode(payment_authorized(livemode=True)))
    assert value[-1] == 1
    value[-1] = 2

    assert refusal(bytes(value), event_type="PaymentAuthorized").reason is Reason.NOT_CANONICAL


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(long(1) + LINE_1 + long(1) + LINE_2 + long(0), id="two blocks"),
        pytest.param(long(-2) + long(len(LINE_1 + LINE_2)) + LINE_1 + LINE_2 + long(0), id="with a byte size"),
        pytest.param(long(-1) + long(len(LINE_1)) + LINE_1 + long(1) + LINE_2 + long(0), id="one with, one without"),
        pytest.param(
            long(-1) + long(len(LINE_1)) + LINE_1 + long(-1) + long(len(LINE_2)) + LINE_2 + long(0), id="two with"
        ),
    ],
)
def test_however_an_array_is_cut_into_blocks_it_is_the_same_order(lines: bytes) -> None:
    assert CODEC.decode("OrderConfirmed", KEY, framed(lines=lines)) == order_confirmed()


def test_what_gos_writer_makes_of_an_empty_array_is_accepted() -> None:
    value = CODEC.encode(order_confirmed())

    assert value == framed(lines=long(2) + LINE_1 + LINE_2 + long(0))
    assert refusal(framed(lines=long(0))).reason is Reason.INVALID_FIELD


def test_other_faults_are_not_hidden_by_odd_blocks() -> None:
    lines = long(-2) + long(len(LINE_1 + LINE_2)) + LINE_1 + LINE_2 + long(0)

    assert refusal(framed(lines=lines) + b"\x00").reason is Reason.NOT_CANONICAL
    assert refusal(framed(lines=lines, tax_minor=over_long(40, 3))).reason is Reason.NOT_CANONICAL


def test_too_large_is_refused_before_it_is_looked_at() -> None:
    assert refusal(b"x" * 1_000_001).reason is Reason.TOO_LARGE
    assert refusal(framed(), message_bytes_max=100).reason is Reason.TOO_LARGE
    assert Codec(message_bytes_max=len(framed())).decode("OrderConfirmed", KEY, framed()) == order_confirmed()


def test_an_unknown_fingerprint_is_an_unknown_schema() -> None:
    assert refusal(b"\xc3\x01" + b"\x07" * 8 + wire.order()).reason is Reason.UNKNOWN_SCHEMA


def test_an_id_without_a_registry_is_an_unknown_schema() -> None:
    refused = refusal(wire.confluent(1, wire.order()))

    assert refused.reason is Reason.UNKNOWN_SCHEMA
    assert "PAYMENTS_SCHEMA_REGISTRY_URL" in refused.detail


@pytest.mark.parametrize("other", [event_type for event_type in EVENTS if event_type != "OrderConfirmed"])
def test_another_topics_event_is_a_wrong_schema(other: str) -> None:
    assert refusal(wire.single_object(load(other), wire.order())).reason is Reason.WRONG_SCHEMA


@pytest.mark.parametrize("key", [None, b"", b"order-2", b"order-1 ", b"\xff"])
def test_a_key_that_is_not_the_order_id_is_refused(key: bytes | None) -> None:
    assert refusal(framed(), key=key).reason is Reason.KEY_MISMATCH


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"event_id": text("not-a-uuid")}, id="no UUID"),
        pytest.param({"event_id": text("z" * 36)}, id="no UUID, of the right length"),
        pytest.param({"event_id": text("{7d0f5a52-54ce-5b0f-9a55-0c8b52a4a9d1}")}, id="UUID in braces"),
        pytest.param({"event_id": text("7d0f5a5254ce5b0f9a550c8b52a4a9d1")}, id="UUID without hyphens"),
        pytest.param({"causation_id": long(1) + text("cause")}, id="causation is no UUID"),
        pytest.param({"occurred_at": long(2**62)}, id="after the year 9999"),
        pytest.param({"occurred_at": long(-(2**63))}, id="before the year 1"),
        pytest.param({"order_id": text("")}, id="no order"),
        pytest.param({"order_id": text("o" * 65)}, id="long order id"),
        pytest.param({"order_id": text("order 1")}, id="space in the order id"),
        pytest.param({"order_id": text("order-1\n")}, id="line end in the order id"),
        pytest.param({"order_id": text("größe")}, id="order id beyond ASCII"),
        pytest.param({"correlation_id": text("")}, id="no correlation"),
        pytest.param({"customer_id": text("a\x00b")}, id="NUL"),
        pytest.param({"customer_id": text("c" * 129)}, id="long customer id"),
        pytest.param({"lines": long(1) + text("") + long(1) + long(1) + long(0)}, id="no SKU"),
        pytest.param({"lines": long(1) + text("s" * 65) + long(1) + long(1) + long(0)}, id="long SKU"),
        pytest.param({"lines": long(1) + text("s\x1f") + long(1) + long(1) + long(0)}, id="unprintable SKU"),
        pytest.param({"lines": long(1) + text("s") + long(0) + long(1) + long(0)}, id="quantity zero"),
        pytest.param({"lines": long(1) + text("s") + long(-1) + long(1) + long(0)}, id="negative quantity"),
        pytest.param({"lines": long(1) + text("s") + long(2**31) + long(1) + long(0)}, id="huge quantity"),
        pytest.param({"lines": long(1) + text("s") + long(1) + long(-1) + long(0)}, id="negative price"),
        pytest.param({"lines": long(1_001) + LINE_1 * 1_001 + long(0)}, id="more than 1000 lines"),
        pytest.param({"lines": long(0)}, id="no lines"),
        pytest.param({"discount_minor": long(-1)}, id="negative discount"),
        pytest.param({"total_minor": long(-1)}, id="negative total"),
        pytest.param({"currency": text("E\x00R")}, id="unprintable currency"),
        pytest.param({"payment_method": method("")}, id="empty token"),
        pytest.param({"payment_method": method("t" * 256)}, id="long token"),
        pytest.param({"payment_method": method("t", "")}, id="empty customer"),
        pytest.param({"payment_method": method("t", "c" * 256)}, id="long customer"),
        pytest.param({"payment_method": method("t", "cus_\N{LATIN SMALL LETTER E WITH ACUTE}")}, id="no ASCII"),
        pytest.param({"payment_method": method("t", "cus_\n1")}, id="customer of two lines"),
        pytest.param({"payment_method": method("t", off_session=True)}, id="away, and nothing is saved"),
        pytest.param({"payment_method": long(0)}, id="nothing to pay with"),
    ],
)
def test_a_value_out_of_bounds_is_an_invalid_field(fields: dict[str, bytes]) -> None:
    refused = refusal(framed(**fields))

    assert refused.reason is Reason.INVALID_FIELD
    assert refused.detail.startswith(next(iter(fields)))


def test_an_int_of_40_bits_is_an_invalid_field() -> None:
    body = b"".join(wire.ORDER[name] for name in list(wire.ORDER)[:5]) + long(2**40) + wire.method("pm_card_visa")
    value = wire.single_object(load("PaymentRetryRequested"), body)

    assert refusal(value, event_type="PaymentRetryRequested").reason is Reason.INVALID_FIELD


def test_a_total_that_does_not_add_up_is_refused() -> None:
    refused = refusal(framed(total_minor=long(3_081)))

    assert refused.reason is Reason.TOTAL_MISMATCH
    assert "3081" in refused.detail
    assert "3080" in refused.detail


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "XYZ", "XAU", "XXX", "DEM"])
def test_what_is_no_currency_is_refused(currency: str) -> None:
    assert refusal(framed(currency=text(currency))).reason is Reason.UNKNOWN_CURRENCY


def test_an_amount_above_the_limit_is_refused_and_the_limit_is_not() -> None:
    assert refusal(framed(), amount_max_minor=3_079).reason is Reason.AMOUNT_LIMIT
    assert Codec(amount_max_minor=3_080).decode("OrderConfirmed", KEY, framed()) == order_confirmed()


CARDS = ["4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "378282246310005", "pm 4242424242424242"]


@pytest.mark.parametrize("token", [*CARDS, "1234", "0", "4242424242424241", "٤٢٤٢"])
def test_a_token_that_may_be_a_card_number_is_refused_and_never_quoted(token: str) -> None:
    refused = refusal(framed(payment_method=method(token)))
    retry = payment_retry_requested(payment_method={"kind": "CARD", "token": token})
    retried = refusal(CODEC.encode(retry), event_type="PaymentRetryRequested")

    assert refused.reason is retried.reason is Reason.CARD_NUMBER
    assert token not in refused.detail


def test_an_invalid_token_is_never_quoted() -> None:
    refused = refusal(framed(payment_method=method("secret\x00token")))

    assert refused.reason is Reason.INVALID_FIELD
    assert "secret" not in str(refused)


def test_a_uuid_in_capitals_is_the_same_id() -> None:
    order = order_confirmed()

    read = CODEC.decode("OrderConfirmed", KEY, framed(event_id=text(str(order.event_id).upper())))

    assert isinstance(read, OrderConfirmed)
    assert read == order


def test_a_dead_letters_card_number_is_hidden_and_ids_are_not() -> None:
    digits = "4242424242424242"
    readable = framed(order_id=text("378282246310005"), payment_method=method(digits))
    garbage = b'{"order_id": "order-1", "pan": "4242 4242 4242 4242"}'

    assert CODEC.mask("OrderConfirmed", readable) == (
        framed(order_id=text("378282246310005"), payment_method=method("*" * 16)),
        1,
    )
    assert CODEC.mask("OrderConfirmed", garbage) == (garbage.replace(b"4242", b"****"), 1)
    assert CODEC.mask("OrderConfirmed", framed() + b" " + digits.encode())[1] == 1
    assert CODEC.mask("OrderConfirmed", framed()) == (framed(), 0)
    assert CODEC.mask("PaymentAuthorized", CODEC.encode(payment_authorized()))[1] == 0


def test_card_number_as_a_currency_is_hidden_and_an_order_id_like_one_is_not() -> None:
    fields = {**order_confirmed(order_id="4242424242424242").model_dump(mode="python"), "currency": "4000056655665556"}
    body = encode_unchecked("OrderConfirmed", fields)
    hidden, count = Codec().mask("OrderConfirmed", body)
    assert count == 1
    assert hidden == body.replace(b"4000056655665556", b"*" * 16)
