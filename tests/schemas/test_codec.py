"""Round trips: what is encoded is decoded, byte for byte the same, and as the specification says."""

from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from producers.unchecked import Unencodable, encode_unchecked
from schemas import events, fields
from schemas.checks import total_minor
from schemas.codec import Codec
from schemas.models import EVENTS
from schemas.rejection import Rejected
from schemas.shapes import SHAPES, load
from schemas.writing import UnknownShape, event_writer, micros, wire_writer
from tests.schemas import wire
from tests.schemas.builders import AT, event_id, one_of_each, order_confirmed, payment_authorized, reservation_failed

EACH = [pytest.param(event, id=event.TYPE) for event in one_of_each()]
CODEC = Codec()


def words(size_max: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=size_max)


CODES = st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True)
AMOUNTS = st.integers(0, fields.LONG_MAX)
QUANTITIES = st.integers(1, fields.INT_MAX)
TIMES = st.datetimes(timezones=st.just(UTC))
ITEMS = st.lists(st.builds(events.Item, sku=words(64), quantity=QUANTITIES), max_size=3).map(tuple)
MISSING = st.lists(
    st.builds(events.MissingItem, sku=words(64), requested=QUANTITIES, available=st.none() | AMOUNTS), max_size=3
).map(tuple)
METHODS = st.builds(
    events.PaymentMethod,
    kind=st.sampled_from(events.PaymentMethodKind),
    token=CODES,
    gateway_customer_id=st.none() | CODES,
) | st.builds(
    events.PaymentMethod,
    kind=st.sampled_from(events.PaymentMethodKind),
    token=CODES,
    gateway_customer_id=CODES,
    off_session=st.just(value=True),
)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "event_id": st.uuids(),
    "occurred_at": TIMES,
    "order_id": st.from_regex(r"[!-~]{1,64}", fullmatch=True),
    "correlation_id": words(255),
    "causation_id": st.none() | st.uuids(),
    "order_version": st.integers(1, fields.LONG_MAX),
    "ordinal": st.integers(0, fields.INT_MAX),
    "attempt": QUANTITIES,
    "after_attempt": QUANTITIES,
    "customer_id": words(128),
    "currency": st.sampled_from(["EUR", "JPY", "KWD"]),
    "amount_minor": AMOUNTS,
    "transaction_id": words(255),
    "refund_id": words(255),
    "dispute_id": words(255),
    "funds_withdrawn": st.booleans(),
    "outcome": st.sampled_from(events.DisputeOutcome),
    "request_id": st.none() | words(64),
    "requested_by": words(128),
    "reservation_id": st.uuids(),
    "captured": st.booleans(),
    "livemode": st.booleans(),
    "retryable": st.booleans(),
    "authorization_expires_at": st.none() | TIMES,
    "expires_at": TIMES,
    "captured_at": TIMES,
    "retry_until": st.none() | TIMES,
    "failure_code": CODES,
    "reason": words(500),
    "stage": st.sampled_from(events.Stage),
    "kind": st.sampled_from(events.NotificationKind),
    "url": st.none() | st.from_regex(r"https?://[!-~]{1,2000}", fullmatch=True),
    "money": st.sampled_from(events.MoneyState),
    "operation": st.sampled_from(events.ReviewOperation),
    "lines": ITEMS,
    "missing": MISSING,
    "payment_method": METHODS,
    "sku": words(64),
    "delta": st.integers(-fields.UNITS_MAX, fields.UNITS_MAX),
}
OTHERWISE: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "CustomerActionRequired": {"kind": st.sampled_from(events.ActionKind)},
    "PaymentAuthorized": {"transaction_id": st.none() | words(255)},
    "PaidAndConfirmed": {"transaction_id": st.none() | words(255)},
    "ReservationFailed": {"reason": st.sampled_from(events.ShortageReason)},
    "PaymentRefundFailed": {"reason": CODES},
    "OrderCancelRequested": {"request_id": words(64)},
    "OrderCancelled": {"request_id": words(64)},
    "CancellationRefused": {"request_id": words(64), "reason": st.sampled_from(events.CancellationRefusal)},
    "RefundRequested": {"request_id": words(64), "amount_minor": st.none() | st.integers(1, fields.LONG_MAX)},
    "RefundRefused": {"request_id": words(64), "reason": st.sampled_from(events.RefundRefusal)},
    "ItemsRestocked": {"request_id": words(64)},
    "PaymentDisputed": {"reason": CODES},
    "PaymentDisputeClosed": {"reason": CODES},
    "PaymentReviewRequired": {"reason": CODES, "money": st.sampled_from(events.ReviewMoney)},
    "CustomerNotificationRequested": {"reason": st.none() | words(500), "failure_code": st.none() | CODES},
    "OrderConfirmed": {
        "lines": st.lists(
            st.builds(
                events.Line, sku=words(64), quantity=st.integers(1, 100), unit_price_minor=st.integers(0, 10_000)
            ),
            min_size=1,
            max_size=4,
        ).map(tuple),
        "discount_minor": st.just(0),
        "delivery_fee_minor": st.integers(0, 10_000),
        "service_fee_minor": st.integers(0, 10_000),
        "tax_minor": st.integers(0, 10_000),
    },
}


def any_event(event_type: str) -> st.SearchStrategy[events.Event]:
    values = VALUES | OTHERWISE.get(event_type, {})
    if event_type == "OrderConfirmed":
        return st.builds(order_confirmed, **{n: values[n] for n in EVENTS[event_type].model_fields if n in values})
    return st.builds(EVENTS[event_type], **{name: values[name] for name in EVENTS[event_type].model_fields})


@pytest.mark.parametrize("event", EACH)
def test_an_event_survives_the_wire(event: events.Event) -> None:
    assert CODEC.decode(event.TYPE, event.subject.encode(), CODEC.encode(event)) == event


@given(st.sampled_from(list(EVENTS)).flatmap(any_event))
@settings(max_examples=600, deadline=None)
def test_any_event_survives_the_wire_byte_for_byte(event: events.Event) -> None:
    value = CODEC.encode(event)

    read = CODEC.decode(event.TYPE, event.subject.encode(), value)

    assert read == event
    assert CODEC.encode(read) == value


@given(st.sampled_from(list(EVENTS)).flatmap(any_event))
@settings(max_examples=600, deadline=None)
def test_any_event_has_the_bytes_that_fastavro_writes(event: events.Event) -> None:
    out = BytesIO()
    schemaless_writer(out, parse_schema(load(event.TYPE)), event.model_dump())

    assert CODEC.encode(event) == b"\xc3\x01" + SHAPES[event.TYPE].fingerprint + out.getvalue()


@pytest.mark.parametrize("number", [0, -1, 1, 63, 64, -64, -65, 8_191, 8_192, 2**31, 2**63 - 1, -(2**63)])
def test_numbers_have_the_bytes_that_fastavro_writes(number: int) -> None:
    one = {"type": "record", "name": "One", "fields": [{"name": "a", "type": "long"}]}
    written = BytesIO()
    schemaless_writer(written, parse_schema(one), {"a": number})
    assert wire_writer(one)({"a": number}) == written.getvalue()

    schema = {"type": "record", "name": "N", "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "long"}]}
    out = BytesIO()
    schemaless_writer(out, parse_schema(schema), {"a": number, "b": number})

    assert wire_writer(schema)({"a": number, "b": number}) == out.getvalue()


@pytest.mark.parametrize(
    "of", ["double", {"type": "map", "values": "long"}, ["long", "null"], {"type": "fixed", "name": "F", "size": 2}]
)
def test_a_type_that_our_writer_does_not_know_is_refused_when_the_schema_is_studied(of: object) -> None:
    fields = [{"name": "a", "type": "long"}, {"name": "b", "type": of}]
    with pytest.raises(UnknownShape):
        event_writer({"type": "record", "name": "N", "fields": fields})


def test_the_bytes_of_an_order_are_what_the_specification_says() -> None:
    expected = wire.single_object(load("OrderConfirmed"), wire.order())

    assert CODEC.encode(order_confirmed()) == expected


def test_the_bytes_of_an_authorized_payment_have_not_changed() -> None:
    event = payment_authorized(event_id=event_id("golden"), causation_id=event_id("golden cause"))
    body = (
        wire.text(str(event.event_id))
        + wire.long(micros(event.occurred_at))
        + wire.text("order-1")
        + wire.text("correlation of order-1")
        + wire.long(1)
        + wire.text(str(event.causation_id))
        + wire.long(2)
        + wire.long(0)
        + wire.long(1)
        + wire.long(3_080)
        + wire.text("EUR")
        + wire.long(1)
        + wire.text("pi_1")
        + b"\x00"
        + wire.long(1)
        + wire.long(micros(datetime(2026, 3, 8, 12, 0, 0, 123456, UTC)))
        + b"\x00"
    )

    value = CODEC.encode(event)

    assert value == wire.single_object(load("PaymentAuthorized"), body)
    assert value.hex() == GOLDEN


GOLDEN = (
    "c301eec966bf3f10a2634838633234663530342d623136362d356435332d383563322d32303432613736653965646180"
    "c987dba6fda5060e6f726465722d312c636f7272656c6174696f6e206f66206f726465722d3102483163363463336633"
    "2d333533312d356235352d616132622d306261336130336463303261040002903006455552020870695f31000280c9a4"
    "e9c0a0a60600"
)


def test_the_fingerprint_is_the_specifications() -> None:
    assert wire.crc_64_avro('"null"').to_bytes(8, "little").hex() == "8a8f25cce724dd63"
    for event_type, shape in SHAPES.items():
        by_hand = wire.crc_64_avro(wire.canonical_form(load(event_type)))
        assert shape.fingerprint == by_hand.to_bytes(8, "little"), event_type


@given(st.sampled_from(one_of_each()), st.data())
@settings(max_examples=1_500, deadline=None)
def test_whatever_bytes_arrive_they_are_an_event_or_are_rejected(event: events.Event, data: st.DataObject) -> None:
    value = bytearray(CODEC.encode(event))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(2, len(value) - 1))
        end = data.draw(st.integers(at, min(at + 3, len(value))))
        value[at:end] = data.draw(st.binary(max_size=3))
    changed = bytes(value)

    try:
        read = CODEC.decode(event.TYPE, event.subject.encode(), changed)
    except Rejected:
        return
    assert CODEC.decode(event.TYPE, event.subject.encode(), CODEC.encode(read)) == read
    masked, _ = CODEC.mask(event.TYPE, changed)
    assert len(masked) == len(changed)


@pytest.mark.parametrize("event", EACH)
def test_an_event_written_unchecked_is_the_same_if_it_is_right(event: events.Event) -> None:
    assert encode_unchecked(event.TYPE, event.model_dump(mode="json")) == CODEC.encode(event)
    assert encode_unchecked(event.TYPE, event.model_dump()) == CODEC.encode(event)


def test_an_event_written_unchecked_may_be_wrong_but_not_impossible() -> None:
    fields = order_confirmed().model_dump(mode="json") | {"order_id": "a b", "total_minor": -1}

    with pytest.raises(Rejected):
        CODEC.decode("OrderConfirmed", b"a b", encode_unchecked("OrderConfirmed", fields))
    for impossible in ({"total_minor": "much"}, {"occurred_at": "once"}, {"lines": 1}):
        with pytest.raises(Unencodable, match="while writing"):
            encode_unchecked("OrderConfirmed", fields | impossible)
    with pytest.raises(Unencodable, match="while writing"):
        encode_unchecked("OrderConfirmed", {"order_id": "order-1"})


@pytest.mark.parametrize(
    "wrong", [AT.replace(tzinfo=None), "2026-03-01T12:00:00", "2026-03-01", "0001-01-01T00:00:00+05:00"]
)
def test_a_time_without_a_zone_or_outside_the_calendar_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match="occurred_at"):
        order_confirmed(occurred_at=wrong)


@pytest.mark.parametrize("wrong", [True, "1", 1.0, None])
def test_numbers_are_whole_numbers_and_nothing_else(wrong: object) -> None:
    with pytest.raises(ValidationError, match="discount_minor"):
        order_confirmed(discount_minor=wrong, total_minor=1)


def test_an_unknown_sku_has_no_available_quantity() -> None:
    event = reservation_failed(missing=[{"sku": "nowhere", "requested": 1}])

    read = CODEC.decode(event.TYPE, b"order-1", CODEC.encode(event))

    assert isinstance(read, events.ReservationFailed)
    assert read.missing == (events.MissingItem(sku="nowhere", requested=1, available=None),)


def test_an_order_of_nothing_to_pay_needs_no_payment_method() -> None:
    order = order_confirmed(
        discount_minor=2_550, delivery_fee_minor=0, service_fee_minor=0, tax_minor=0, payment_method=None
    )

    assert order.total_minor == total_minor(order) == 0
    assert CODEC.decode("OrderConfirmed", b"order-1", CODEC.encode(order)) == order


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    order = order_confirmed(occurred_at="2026-03-01T14:00:00.123456+02:00")

    assert order == order_confirmed()
    assert order.occurred_at.tzinfo is UTC


def test_an_event_that_was_written_is_known_by_its_bytes_once() -> None:
    codec = Codec(written_max=2)
    event = payment_authorized()
    value = codec.encode(event)

    first = codec.decode("PaymentAuthorized", b"order-1", value)
    second = codec.decode("PaymentAuthorized", b"order-1", value)

    assert first is event
    assert second == event
    assert second is not event


def test_of_the_events_that_were_written_the_oldest_are_forgotten() -> None:
    codec = Codec(written_max=2)
    written = [payment_authorized(order_version=version) for version in (1, 2, 3)]
    values = [codec.encode(event) for event in written]

    read = [codec.decode("PaymentAuthorized", b"order-1", value) for value in values]

    assert read == written
    assert [a is b for a, b in zip(read, written, strict=True)] == [False, True, True]


def test_an_event_that_was_written_is_refused_on_another_topic_or_under_another_key() -> None:
    codec = Codec(written_max=2)
    value = codec.encode(payment_authorized())
    with pytest.raises(Rejected, match="another event's topic"):
        codec.decode("ItemsReserved", b"order-1", value)

    value = codec.encode(payment_authorized())
    with pytest.raises(Rejected, match="message key"):
        codec.decode("PaymentAuthorized", b"order-2", value)
