"""Which changes of a schema are compatible in both directions, and which are not."""

from copy import deepcopy
from typing import Any

import pytest

from schemas.compatibility import compatible, enums, unreadable
from schemas.models import EVENTS
from schemas.shapes import load


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "Kind", "symbols": list(symbols), **more}


def record(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "namespace": "payments", "fields": list(fields), **more}


def of(kind: Any, **more: Any) -> dict[str, Any]:
    return record({"name": "f", "type": kind, **more})


UUID = {"type": "string", "logicalType": "uuid"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
FIXED = {"type": "fixed", "name": "F", "size": 4}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}


@pytest.mark.parametrize("event_type", EVENTS)
def test_every_schema_is_compatible_with_itself(event_type: str) -> None:
    assert compatible(load(event_type), load(event_type)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(record(), of("string", default=""), id="a field with a default"),
        pytest.param(
            of(enum("A", "U", default="U")), of(enum("A", "B", "U", default="U")), id="a symbol, with a default"
        ),
        pytest.param(of("string", doc="a"), of({"type": "string"}, doc="b"), id="docs and wrapping"),
        pytest.param(of("null"), of(["null"]), id="a union of one"),
        pytest.param(record(name="R"), record(name="payments.R"), id="the name written in full"),
        pytest.param(of({"type": "map", "values": UUID}), of({"type": "map", "values": UUID}), id="maps"),
        pytest.param(of(FIXED), of(FIXED), id="fixed"),
        pytest.param(of(["null", "payments.R"]), of(["null", "R"]), id="recursion"),
    ],
)
def test_a_compatible_change_has_no_problems(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert compatible(old, new) == compatible(new, old) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(record(), of("string"), id="a field without a default"),
        pytest.param(of("string"), of("int"), id="another type"),
        pytest.param(of("int"), of("long"), id="a promotion"),
        pytest.param(of("string"), of("bytes"), id="text to bytes"),
        pytest.param(of("string"), of(UUID), id="text to UUID"),
        pytest.param(of(MICROS), of(MILLIS), id="micros to millis"),
        pytest.param(of(MICROS), of("long"), id="time to number"),
        pytest.param(of(["null", MICROS]), of(["null", MILLIS]), id="micros to millis in a union"),
        pytest.param(of({"type": "array", "items": MICROS}), of({"type": "array", "items": MILLIS}), id="in an array"),
        pytest.param(of(DECIMAL), of(DECIMAL | {"scale": 4}), id="scale"),
        pytest.param(of(enum("A")), of(enum("A", "B")), id="a symbol without a default"),
        pytest.param(of("string"), of(["null", "string"]), id="nullable"),
        pytest.param(of(["null", "string"]), of(["null", "string", "int"]), id="a branch"),
        pytest.param(record(), record(name="S"), id="another name"),
        pytest.param(record(), record(namespace="orders"), id="another namespace"),
        pytest.param(of(FIXED), of(FIXED | {"size": 8}), id="another size"),
        pytest.param(of("int"), of({"type": "array", "items": "int"}), id="one to many"),
    ],
)
def test_an_incompatible_change_is_named_with_its_field(old: dict[str, Any], new: dict[str, Any]) -> None:
    problems = compatible(old, new)

    assert problems
    assert all(problem.startswith(("old readers: ", "new readers: ")) for problem in problems)
    if old["fields"] and new["fields"]:
        assert all(": f" in problem for problem in problems)


TEXT, LONG, INT = "string", "long", "int"
DATE = {"type": "int", "logicalType": "date"}


def logical(kind: str, name: str) -> dict[str, Any]:
    return {"type": kind, "logicalType": name}


@pytest.mark.parametrize(
    ("written", "read", "safe", "safe_if_checked"),
    [
        pytest.param(UUID, TEXT, True, True, id="a UUID is a text"),
        pytest.param(TEXT, UUID, False, True, id="a text shows whether it is a UUID"),
        pytest.param(MILLIS, MICROS, False, False, id="millis for micros"),
        pytest.param(MICROS, MILLIS, False, False, id="micros for millis"),
        pytest.param(logical("long", "timestamp-nanos"), MICROS, False, False, id="nanos for micros"),
        pytest.param(LONG, MICROS, False, False, id="a number for a time: its unit is unknown"),
        pytest.param(MICROS, LONG, False, False, id="a time for a number"),
        pytest.param(logical("long", "local-timestamp-micros"), MICROS, False, False, id="a time without a zone"),
        pytest.param(logical("long", "time-micros"), MICROS, False, False, id="a time of day"),
        pytest.param(INT, DATE, False, False, id="a number for a date"),
        pytest.param(DATE, logical("int", "time-millis"), False, False, id="a date for a time of day"),
        pytest.param("bytes", DECIMAL, False, False, id="bytes for a decimal: the scale is unknown"),
        pytest.param(DECIMAL | {"precision": 12}, DECIMAL, False, False, id="another precision"),
        pytest.param(logical("string", "secret"), TEXT, False, False, id="a text of a kind that we do not know"),
        pytest.param(logical("string", "secret"), UUID, False, False, id="such a text for a UUID"),
        pytest.param(logical("bytes", "uuid"), UUID, False, False, id="a UUID as bytes"),
        pytest.param(logical("long", "uuid"), LONG, False, False, id="a UUID that is a number"),
    ],
)
def test_which_differences_of_logical_types_are_safe(
    written: Any, read: Any, *, safe: bool, safe_if_checked: bool
) -> None:
    for writer, reader in (
        (of(written), of(read)),
        (of(["null", written]), of(["null", read])),
        (of({"type": "array", "items": written}), of({"type": "array", "items": read})),
    ):
        assert (unreadable(reader, writer) == []) is safe
        assert (unreadable(reader, writer, checked=True) == []) is safe_if_checked


def test_a_dropped_uuid_is_no_problem_where_new_readers_check_and_is_one_where_ours_drops_it() -> None:
    assert compatible(of("string"), of(UUID), checked=True) == []
    assert compatible(of(UUID), of("string"), checked=True) == [
        "old readers: f: the meaning changes from no logical type to uuid"
    ]


def test_a_logical_type_beside_the_type_is_named_as_such() -> None:
    beside = of("long", logicalType="timestamp-micros")
    (problem,) = unreadable(of(MICROS), beside, checked=True)
    assert problem.endswith("to timestamp-micros (its logicalType stands beside the type, where Avro ignores it)")
    assert unreadable(of(UUID), of("string", logicalType="uuid"), checked=True) == []


def test_a_change_of_scale_is_told_with_both_meanings() -> None:
    assert unreadable(of(DECIMAL), of(DECIMAL | {"scale": 4})) == [
        "f: the meaning changes from decimal, precision 9, scale 4 to decimal, precision 9, scale 2"
    ]


def test_another_namespace_is_named_without_a_field() -> None:
    assert unreadable(record(), record(namespace="orders")) == ["the record: orders.R cannot be read as payments.R"]


def test_all_enums_are_found_however_deep() -> None:
    inner = {"type": "record", "name": "In", "fields": [{"name": "k", "type": enum("A")}]}
    deep = of(["null", {"type": "array", "items": {"type": "map", "values": inner}}])
    assert [found["name"] for found in enums(deep)] == ["Kind"]
    assert enums(of("string")) == []


def test_reading_goes_one_way() -> None:
    assert unreadable(of("long"), of("int")) == []
    assert unreadable(of("int"), of("long")) == ["f: long cannot be read as int"]
    renamed = record({"name": "g", "aliases": ["f"], "type": "int"}, name="S", aliases=["R"])
    assert unreadable(renamed, of("int")) == []


def test_a_change_deep_within_is_found_by_its_path() -> None:
    new = deepcopy(load("OrderConfirmed"))
    lines = next(field for field in new["fields"] if field["name"] == "lines")
    lines["type"]["items"]["fields"][1]["type"] = "string"

    assert compatible(load("OrderConfirmed"), new) == [
        "new readers: lines[].quantity: long cannot be read as string",
        "old readers: lines[].quantity: string cannot be read as long",
    ]
