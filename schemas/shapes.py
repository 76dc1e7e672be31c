"""Avro schemas in the forms that reading and writing need; those of our events are parsed once, at import.

The wire form of a schema leaves out logical types and docs: the bytes are the same, and comparing a body with its
re-encoding then costs no UUIDs or times. schemas.conversion knows what the values mean.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from fastavro import parse_schema
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.topics import EVENTS

NAMESPACE: Final = "payments"
_MEANING_ONLY: Final = frozenset({"logicalType", "precision", "scale", "doc", "order"})


class UnsafeSchema(Exception):  # noqa: N818 - a verdict, like Rejected
    """Reading with this schema could exhaust memory or the stack: it is recursive, or repeats items of no bytes."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One schema. wire: parsed by fastavro, without logical types. fingerprint: CRC-64-AVRO, 8 bytes little-endian."""

    schema: dict[str, Any]
    wire: dict[str, Any]
    fingerprint: bytes


def shape_of(schema: dict[str, Any]) -> Shape:
    """Parse a schema. Raises UnsafeSchema, or what fastavro raises for one that is no Avro schema."""
    refuse_unsafe(schema)
    wire = parse_schema(_without_meaning(schema))
    if not isinstance(wire, dict):
        raise TypeError("An event's schema is a record; this one is not.")
    digest = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
    return Shape(schema, wire, bytes.fromhex(digest))


def load(event_type: str) -> dict[str, Any]:
    """Return the schema of one of our events as its .avsc file has it. Raises FileNotFoundError for any other name."""
    text = files("schemas").joinpath("avro", f"{event_type}.avsc").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def refuse_unsafe(schema: object) -> None:
    """Raise UnsafeSchema when a few bytes in this schema could ask for unbounded memory or depth."""
    _takes_no_bytes(schema, {}, ())


def _takes_no_bytes(schema: object, named: dict[str, bool], inside: tuple[str, ...]) -> bool:
    """Visit a schema; say whether its values are empty. named: the answers so far; inside: the records around it."""
    if isinstance(schema, list):
        for branch in schema:
            _takes_no_bytes(branch, named, inside)
        return False
    if isinstance(schema, dict):
        return _object_takes_no_bytes(schema, named, inside)
    if not isinstance(schema, str):
        raise UnsafeSchema("The schema is not one of Avro's forms.")
    name = _short(schema)
    if name in inside:
        raise UnsafeSchema("The schema is recursive.")
    return schema == "null" or named.get(name, False)


def _object_takes_no_bytes(schema: dict[str, Any], named: dict[str, bool], inside: tuple[str, ...]) -> bool:
    name = _short(str(schema.get("name")))
    match schema.get("type"):
        case "record":
            # A list, for every field has to be visited, not only those up to the first that takes bytes.
            empty = [_takes_no_bytes(field["type"], named, (*inside, name)) for field in schema["fields"]]
            named[name] = all(empty)
            return named[name]
        case "array":
            if _takes_no_bytes(schema.get("items"), named, inside):
                raise UnsafeSchema("The schema repeats items that take no bytes.")
            return False
        case "map":
            _takes_no_bytes(schema.get("values"), named, inside)
            return False
        case "fixed":
            named[name] = not schema.get("size")
            return named[name]
        case "enum":
            named[name] = False
            return False
        case inner:
            return _takes_no_bytes(inner, named, inside)


def _short(name: str) -> str:
    """Leave the namespace out: two types of one name are then taken for recursion, which refuses too much at worst."""
    return name.rpartition(".")[2]


def _without_meaning(schema: Any) -> Any:
    """Copy a schema without what does not change its bytes, defaults of fields and enums aside."""
    if isinstance(schema, list):
        return [_without_meaning(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    copied = {
        name: part if name in {"default", "symbols"} else _without_meaning(part)
        for name, part in schema.items()
        if name not in _MEANING_ONLY
    }
    return copied["type"] if copied.keys() == {"type"} and isinstance(copied["type"], str) else copied


SHAPES: Final[dict[str, Shape]] = {event_type: shape_of(load(event_type)) for event_type in EVENTS}
"""By event type."""

BY_FINGERPRINT: Final[dict[bytes, str]] = {shape.fingerprint: event_type for event_type, shape in SHAPES.items()}
