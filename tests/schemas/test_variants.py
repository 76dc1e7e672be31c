"""Four libraries name our schemas by other fingerprints: their messages are read, and what we write is right."""

import hashlib

import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.codec import Codec
from schemas.fingerprints import crc_64_avro
from schemas.models import EVENTS
from schemas.records import Event
from schemas.registry import Registry
from schemas.rejection import Reason, Rejected
from schemas.releases import Released, releases
from schemas.shapes import SHAPES, load
from schemas.variants import FORMS, canonical_form, fingerprints
from schemas.versions import EVENT_OF, RELEASED
from tests.schemas import wire
from tests.schemas.builders import one_of_each, order_confirmed

CODEC = Codec()
HEAD_END = 10
EACH = [pytest.param(event, id=event.TYPE) for event in one_of_each()]
OURS = [Released("today", event_type, load(event_type)) for event_type in EVENTS]
ALL = [pytest.param(each, id=f"{each.release}-{each.event_type}") for each in [*OURS, *releases()]]

OF_ORDER_CONFIRMED_0_1_0 = {
    "hamba/avro": "ec426ee427b8dbce",
    "goavro": "b2ccb9f7ed0bd963",
    "avro and apache-avro": "378f8f95140fa68d",
}
"""As the libraries themselves computed them."""


def refused(value: bytes, event_type: str = "OrderConfirmed", registry: Registry | None = None) -> Rejected:
    with pytest.raises(Rejected) as refusal:
        Codec(registry=registry).decode(event_type, b"order-1", value)
    return refusal.value


def headed(fingerprint: bytes, event: Event) -> bytes:
    return b"\xc3\x01" + fingerprint + CODEC.encode(event)[HEAD_END:]


def first_release(event_type: str) -> dict[str, object]:
    return next(each.schema for each in releases() if each.event_type == event_type)


def test_the_libraries_own_numbers_for_the_first_release_are_ours() -> None:
    found = fingerprints(first_release("OrderConfirmed"))
    assert {library: number.hex() for library, number in found.items()} == OF_ORDER_CONFIRMED_0_1_0


@pytest.mark.parametrize("each", ALL)
def test_without_a_librarys_mistake_the_generator_writes_the_specifications_form(each: Released) -> None:
    form = canonical_form(each.schema)
    assert form == to_parsing_canonical_form(each.schema) == wire.canonical_form(each.schema)
    right = crc_64_avro(form)
    assert right.hex() == fingerprint(form, "CRC-64-AVRO")
    assert right not in fingerprints(each.schema).values()


@pytest.mark.parametrize("event", EACH)
@pytest.mark.parametrize("library", FORMS)
def test_a_message_that_names_todays_schema_by_a_librarys_fingerprint_is_that_event(library: str, event: Event) -> None:
    value = headed(fingerprints(load(event.TYPE))[library], event)
    assert CODEC.read(event.TYPE, event.subject.encode(), value) == event


@pytest.mark.parametrize("each", [pytest.param(r, id=r.event_type) for r in releases()])
def test_each_variant_of_a_released_schema_is_read_as_that_release(each: Released) -> None:
    of_release = RELEASED.get((each.event_type, crc_64_avro(canonical_form(each.schema))))
    for number in fingerprints(each.schema).values():
        assert of_release is None or RELEASED[each.event_type, number] is of_release
        assert RELEASED[each.event_type, number].resolve == (of_release is not None)


def test_an_order_of_the_first_release_named_by_a_variant_is_read_with_that_releases_schema() -> None:
    schema = first_release("OrderConfirmed")
    method = wire.long(1) + wire.long(0) + wire.text("pm_card_visa")
    body = wire.order(payment_method=method)
    right = CODEC.decode("OrderConfirmed", b"order-1", wire.single_object(schema, body))
    for number in fingerprints(schema).values():
        assert CODEC.decode("OrderConfirmed", b"order-1", b"\xc3\x01" + number + body) == right


def test_what_we_write_has_the_specifications_fingerprint() -> None:
    for event in one_of_each():
        assert CODEC.encode(event)[:HEAD_END] == b"\xc3\x01" + SHAPES[event.TYPE].fingerprint


def test_every_known_number_names_one_event_only() -> None:
    numbers = [number for _, number in RELEASED] + [shape.fingerprint for shape in SHAPES.values()]
    assert len(set(numbers)) == len(numbers) == len(EVENT_OF)


@pytest.mark.parametrize("library", FORMS)
def test_a_variant_of_another_events_schema_is_a_wrong_schema(library: str) -> None:
    refusal = refused(headed(fingerprints(load("PaymentFailed"))[library], order_confirmed()))
    assert (refusal.reason, "PaymentFailed" in refusal.detail) == (Reason.WRONG_SCHEMA, True)


@pytest.mark.parametrize("library", FORMS)
def test_in_a_variants_body_card_numbers_and_tokens_are_hidden_as_in_any_other(library: str) -> None:
    order = order_confirmed()
    assert order.payment_method is not None
    value = headed(fingerprints(load("OrderConfirmed"))[library], order)

    hidden = CODEC.hide("OrderConfirmed", value)

    assert hidden.secrets == (order.payment_method.token.encode(),)
    assert hidden.body is not None
    assert hidden.body[:HEAD_END] == value[:HEAD_END]
    assert hidden.secrets[0] not in hidden.body


def test_an_unknown_fingerprint_is_refused_with_the_right_one() -> None:
    refusal = refused(headed(b"\x07" * 8, order_confirmed()))
    assert refusal.reason is Reason.UNKNOWN_SCHEMA
    assert "0707070707070707" in refusal.detail
    assert f"the right one is {SHAPES['OrderConfirmed'].fingerprint.hex()}" in refusal.detail
    assert "`payments schemas list`" in refusal.detail


SCHEMA = load("OrderConfirmed")
FORM = canonical_form(SCHEMA).encode()
NAMELESS = to_parsing_canonical_form({name: part for name, part in SCHEMA.items() if name != "namespace"})


@pytest.mark.parametrize(
    ("number", "words"),
    [
        pytest.param(SHAPES["OrderConfirmed"].fingerprint[::-1], "reverse order", id="ours, big-endian"),
        pytest.param(fingerprints(SCHEMA)["hamba/avro"][::-1], "of hamba/avro, in reverse order", id="hamba's"),
        pytest.param(hashlib.md5(FORM).digest()[:8], "begins the MD5", id="MD5"),
        pytest.param(hashlib.sha256(FORM).digest()[:8], "begins the SHA-256", id="SHA-256"),
        pytest.param(crc_64_avro(NAMELESS), "lacks the namespace", id="no namespace"),
        pytest.param(crc_64_avro(canonical_form(first_release("OrderConfirmed")))[::-1], "reverse order", id="0.1.0"),
        pytest.param(b"\x07" * 8, "another schema than ours", id="anything"),
    ],
)
def test_an_unknown_fingerprint_is_refused_with_its_likely_cause(number: bytes, words: str) -> None:
    refusal = refused(headed(number, order_confirmed()))
    assert (refusal.reason, words in refusal.detail) == (Reason.UNKNOWN_SCHEMA, True), refusal.detail


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param({"type": "int", "logicalType": "date"}, id="a logical type that nobody looked up"),
        pytest.param({"type": "fixed", "name": "F", "size": 4}, id="a type that nobody looked up"),
        pytest.param({"type": "string", "avro.java.string": "String"}, id="an attribute that nobody looked up"),
        pytest.param({"type": "enum", "name": "E", "namespace": "n", "symbols": ["A"]}, id="a namespace within"),
    ],
)
def test_a_schema_whose_variants_nobody_looked_up_is_no_guess(kind: dict[str, object]) -> None:
    schema = {"type": "record", "name": "R", "namespace": "payments", "fields": [{"name": "f", "type": kind}]}
    with pytest.raises(ValueError, match="see what the libraries make of it"):
        fingerprints(schema)
