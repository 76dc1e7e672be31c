"""Avro schemas in the forms that reading and writing need. Our own are parsed once, at import.

The wire form of a schema has no logical types and docs. The bytes are the same, and the canonical check, which encodes
a body again, need not build UUIDs and times. schemas.conversion converts these values.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from fastavro import parse_schema
from fastavro.schema import to_parsing_canonical_form

from schemas.fingerprints import crc_64_avro
from schemas.models import EVENTS

NAMESPACE: Final = "payments"
_MEANING_ONLY: Final = frozenset({"logicalType", "precision", "scale", "doc", "order"})


class UnsafeSchema(Exception):  # noqa: N818 - a verdict, like Rejected
    """The schema is recursive, or repeats items of zero bytes. We refuse it: it could exhaust the stack or memory."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One schema. wire: parsed by fastavro, without logical types. fingerprint: CRC-64-AVRO, 8 bytes little-endian."""

    schema: dict[str, Any]
    wire: dict[str, Any]
    fingerprint: bytes


def shape_of(schema: dict[str, Any]) -> Shape:
    """Parse a schema. Raises UnsafeSchema, or fastavro's error if it is not an Avro schema."""
    refuse_unsafe(schema)
    wire = parse_schema(_without_meaning(schema))
    if not isinstance(wire, dict):
        raise TypeError("An event's schema is a record; this one is not.")
    return Shape(schema, wire, crc_64_avro(to_parsing_canonical_form(schema)))


def load(event_type: str) -> dict[str, Any]:
    """Return the schema of an event from its .avsc file. Raises FileNotFoundError for an unknown name."""
    text = files("schemas").joinpath("avro", f"{event_type}.avsc").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def refuse_unsafe(schema: object) -> None:
    """Raise UnsafeSchema if a small body in this schema could need unbounded memory or depth."""
    _takes_no_bytes(schema, {}, ())


def _takes_no_bytes(schema: object, named: dict[str, bool], inside: tuple[str, ...]) -> bool:
    """Return whether values of the schema take zero bytes. named: known answers; inside: the records around it."""
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
            # A list, not a generator: every field must be visited.
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
    """Remove the namespace. Two types of one name may then count as recursion: we refuse too much, never too little."""
    return name.rpartition(".")[2]


def _without_meaning(schema: Any) -> Any:
    """Copy a schema without what does not change its bytes. Defaults and symbols are copied as they are."""
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
