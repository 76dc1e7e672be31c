"""The models and the .avsc files say the same, and both say what the contract says."""

import re
from datetime import datetime
from enum import StrEnum
from importlib.resources import files
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

import pytest

from schemas.events import OrderEvent, OwnEvent, Record, UpstreamEvent
from schemas.fields import INT_MAX
from schemas.models import EVENTS
from schemas.shapes import SHAPES, UnsafeSchema, load, refuse_unsafe
from schemas.topics import TOPICS
from tests.schemas.builders import one_of_each

CONTRACT = {
    "OrderConfirmed": "customer_id currency lines discount_minor delivery_fee_minor service_fee_minor tax_minor "
    "total_minor payment_method",
    "PaymentRetryRequested": "after_attempt payment_method",
    "OrderCancelRequested": "request_id reason requested_by",
    "PreparationStarted": "",
    "OrderCancelled": "customer_id attempt request_id money amount_minor currency",
    "CancellationRefused": "customer_id request_id reason",
    "RefundRequested": "request_id amount_minor reason lines requested_by",
    "RefundRefused": "customer_id request_id reason",
    "ItemsRestocked": "request_id lines",
    "StockAdjusted": "sku delta reason",
    "CustomerActionRequired": "customer_id attempt transaction_id amount_minor currency kind url expires_at",
    "PaymentAuthorized": "attempt amount_minor currency transaction_id captured authorization_expires_at livemode",
    "ItemsReserved": "attempt reservation_id lines expires_at",
    "ReservationFailed": "attempt reason missing",
    "PaidAndConfirmed": "customer_id attempt amount_minor currency transaction_id reservation_id lines captured_at "
    "livemode",
    "PaymentFailed": "customer_id attempt stage failure_code reason amount_minor currency money retryable retry_until",
    "PaymentVoided": "attempt transaction_id amount_minor currency",
    "PaymentRefunded": "attempt transaction_id refund_id amount_minor currency request_id",
    "PaymentRefundFailed": "attempt refund_id request_id amount_minor currency reason",
    "PaymentDisputed": "customer_id attempt transaction_id dispute_id amount_minor currency reason funds_withdrawn",
    "PaymentDisputeClosed": "customer_id attempt transaction_id dispute_id amount_minor currency reason "
    "funds_withdrawn outcome",
    "PaymentReviewRequired": "customer_id attempt operation reason money amount_minor currency",
    "ReservationReleased": "attempt reservation_id",
    "CustomerNotificationRequested": "customer_id attempt kind failure_code reason amount_minor currency money "
    "retryable retry_until missing",
}
EVERY = "event_id occurred_at order_id correlation_id causation_id"
OWN = "order_version ordinal"
TYPES = list(EVENTS)


def of_avro(schema: Any) -> Any:
    """Describe an Avro type in words that both sides share; int and long are one, for Python has but one."""
    if isinstance(schema, list):
        assert schema[0] == "null"
        assert len(schema) == 2
        return ("null", of_avro(schema[1]))
    if isinstance(schema, str):
        return {"long": "integer", "int": "integer"}.get(schema, schema)
    match schema:
        case {"type": "array", "items": items}:
            return ("array", of_avro(items))
        case {"type": "record", "name": name, "fields": fields}:
            return ("record", name, {field["name"]: of_avro(field["type"]) for field in fields})
        case {"type": "enum", "name": name, "symbols": symbols}:
            return ("enum", name, tuple(symbols))
        case {"type": kind, "logicalType": logical}:
            return (kind, logical)
    raise AssertionError(schema)


def of_python(annotation: Any) -> Any:
    """Describe a model's field in the same words."""
    plain = {UUID: ("string", "uuid"), datetime: ("long", "timestamp-micros"), str: "string", int: "integer"}
    if annotation in plain or annotation is bool:
        return plain.get(annotation, "boolean")
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return of_python(arguments[0])
    if get_origin(annotation) in {Union, UnionType}:
        assert arguments[1] is NoneType
        return ("null", of_python(arguments[0]))
    if get_origin(annotation) is tuple:
        assert arguments[1] is ...
        return ("array", of_python(arguments[0]))
    if issubclass(annotation, StrEnum):
        return ("enum", annotation.__name__, tuple(annotation))
    assert issubclass(annotation, Record)
    return ("record", annotation.__name__, of_model(annotation))


def of_model(model: type[Record]) -> dict[str, Any]:
    return {name: of_python(field.annotation) for name, field in model.model_fields.items()}


def parts(schema: Any) -> list[dict[str, Any]]:
    """Return every object within a schema."""
    if isinstance(schema, list):
        return [part for branch in schema for part in parts(branch)]
    if not isinstance(schema, dict):
        return []
    below = [schema.get("type"), schema.get("items"), schema.get("fields", [])]
    return [schema, *parts(below)]


@pytest.mark.parametrize("event_type", TYPES)
def test_a_model_has_the_fields_of_its_schema_in_their_order(event_type: str) -> None:
    schema = load(event_type)
    described = of_avro(schema)

    assert described == ("record", event_type, of_model(EVENTS[event_type]))
    assert list(described[2]) == list(EVENTS[event_type].model_fields)
    assert EVENTS[event_type].__name__ == EVENTS[event_type].TYPE == event_type
    assert schema["namespace"] == "payments"


@pytest.mark.parametrize("event_type", TYPES)
def test_a_model_has_the_defaults_of_its_schema(event_type: str) -> None:
    in_schema = {field["name"]: field["default"] for field in load(event_type)["fields"] if "default" in field}
    fields = EVENTS[event_type].model_fields
    in_model = {
        name: list(field.default) if isinstance(field.default, tuple) else field.default
        for name, field in fields.items()
        if not field.is_required()
    }

    assert in_model == in_schema


@pytest.mark.parametrize("event_type", TYPES)
def test_a_model_refuses_what_does_not_fit_an_avro_int(event_type: str) -> None:
    for field in load(event_type)["fields"]:
        if field["type"] == "int":
            bounds = [getattr(bound, "le", None) for bound in EVENTS[event_type].model_fields[field["name"]].metadata]
            assert INT_MAX in bounds, field["name"]


def test_there_is_a_schema_for_every_topic_and_no_other() -> None:
    names = {entry.name.removesuffix(".avsc") for entry in files("schemas").joinpath("avro").iterdir()}

    assert names == set(TOPICS) == set(CONTRACT)


@pytest.mark.parametrize("event_type", TYPES)
def test_the_fields_are_those_of_the_contract(event_type: str) -> None:
    own = TOPICS[event_type].ours
    # "key = order id" is the rule of every event of an order.
    every = EVERY if issubclass(EVENTS[event_type], OrderEvent) else EVERY.replace(" order_id", "")
    expected = [*every.split(), *(OWN.split() if own else []), *CONTRACT[event_type].split()]

    assert [field["name"] for field in load(event_type)["fields"]] == expected
    assert issubclass(EVENTS[event_type], OwnEvent) is own
    assert issubclass(EVENTS[event_type], OrderEvent) is (event_type != "StockAdjusted")


@pytest.mark.parametrize("event_type", TYPES)
def test_every_record_field_and_enum_is_documented_with_its_unit(event_type: str) -> None:
    for part in parts(load(event_type)):
        kind, name = part.get("type"), str(part.get("name", ""))
        if name:
            assert len(part["doc"]) > 10, name
        if name.endswith("_minor"):
            assert "minor unit" in part["doc"], name
        if name.endswith("_at") or name == "retry_until":
            assert "icroseconds since 1970" in part["doc"], name
        if name in {"quantity", "requested", "available"}:
            assert "hole units" in part["doc"], name
        if kind == "enum":
            assert part["default"] == ("OTHER" if name == "PaymentMethodKind" else "UNSPECIFIED")
            assert part["symbols"][-1] == part["default"]


@pytest.mark.parametrize("event_type", TYPES)
def test_a_nullable_field_is_null_by_default(event_type: str) -> None:
    for part in parts(load(event_type)):
        if isinstance(part.get("type"), list):
            assert part["default"] is None, part["name"]


@pytest.mark.parametrize("event_type", TYPES)
def test_logical_types_stand_at_the_top_level_only(event_type: str) -> None:
    # The codec converts UUIDs and times of the event itself, not of records within it.
    schema = load(event_type)
    types = [
        branch
        for field in schema["fields"]
        for branch in (field["type"] if isinstance(field["type"], list) else [field["type"]])
    ]
    top = [id(of) for of in types if isinstance(of, dict)]
    nested = [part for part in parts(schema) if "logicalType" in part and id(part) not in top]

    assert nested == []


@pytest.mark.parametrize("event_type", TYPES)
def test_no_schema_has_a_place_for_card_data(event_type: str) -> None:
    names = {str(part.get("name")) for part in parts(load(event_type))}

    assert not [name for name in names if re.search(r"card_number|pan|cvv|cvc|expiry|expiration|holder", name)]


@pytest.mark.parametrize("event_type", TYPES)
def test_no_schema_of_ours_can_exhaust_memory_or_stack(event_type: str) -> None:
    refuse_unsafe(SHAPES[event_type].schema)


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param({"type": "array", "items": "null"}, id="array of null"),
        pytest.param({"type": "array", "items": {"type": "record", "name": "E", "fields": []}}, id="empty records"),
        pytest.param(
            {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "E",
                    "fields": [{"name": "a", "type": "null"}, {"name": "b", "type": {"type": "null"}}],
                },
            },
            id="records of null",
        ),
        pytest.param({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, id="fixed of no bytes"),
        pytest.param(["null", "payments.Root"], id="recursive"),
        pytest.param({"type": "map", "values": "Root"}, id="recursive by a map"),
        pytest.param({"type": {"type": "array", "items": {"type": "null"}}}, id="wrapped"),
        pytest.param(7, id="no schema"),
    ],
)
def test_a_hostile_schema_is_refused(hostile: object) -> None:
    fields = [{"name": "harmless", "type": "int"}, {"name": "hostile", "type": hostile}]

    with pytest.raises(UnsafeSchema):
        refuse_unsafe({"type": "record", "name": "Root", "namespace": "payments", "fields": fields})


def test_an_empty_record_named_elsewhere_is_still_empty() -> None:
    empty = {"type": "record", "name": "E", "fields": []}
    fields = [{"name": "one", "type": empty}, {"name": "many", "type": {"type": "array", "items": "E"}}]

    with pytest.raises(UnsafeSchema):
        refuse_unsafe({"type": "record", "name": "Root", "fields": fields})


def test_a_token_is_shown_in_no_representation() -> None:
    from tests.schemas.builders import order_confirmed

    order = order_confirmed()

    assert order.payment_method is not None
    assert order.payment_method.token == "pm_card_visa"
    assert "pm_card_visa" not in f"{order!r} {order} {order.payment_method!r}"


def test_an_event_never_changes() -> None:
    from pydantic import ValidationError

    from tests.schemas.builders import order_confirmed

    event: UpstreamEvent = order_confirmed()

    with pytest.raises(ValidationError):
        event.order_id = "another"  # type: ignore[misc]
    assert hash(event) == hash(order_confirmed())


def test_there_is_an_example_of_every_event() -> None:
    assert {event.TYPE for event in one_of_each()} == set(EVENTS)
