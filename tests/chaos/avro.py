"""Bodies by the .avsc files alone: neither what is published nor what is judged goes through the product's codec."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any, Final

import orjson
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

SINGLE_OBJECT: Final = b"\xc3\x01"
FINGERPRINT: Final = slice(2, 10)
BODY_AT: Final = 10


class Unreadable(ValueError):  # noqa: N818 - an answer about a message
    """A body that is no single object of the event's schema."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One event's schema: plain, for times stay microseconds and ids stay text, and its mark in front of a body."""

    plain: Any
    mark: bytes


@cache
def contract(event_type: str) -> Contract:
    """Read the event's .avsc file."""
    schema = orjson.loads((files("schemas") / "avro" / f"{event_type}.avsc").read_bytes())
    mark = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
    return Contract(parse_schema(_without_logical_types(schema)), SINGLE_OBJECT + mark)


def encode(event_type: str, fields: dict[str, Any]) -> bytes:
    """Write a body, whatever it says; fields that are absent by the schema's defaults."""
    made = contract(event_type)
    out = BytesIO()
    out.write(made.mark)
    schemaless_writer(out, made.plain, fields)
    return out.getvalue()


def decode(event_type: str, body: bytes | None) -> dict[str, Any]:
    """Read a body. Raises Unreadable for what is none."""
    made = contract(event_type)
    if body is None or not body.startswith(made.mark):
        raise Unreadable(f"no {event_type}")
    rest = BytesIO(body[BODY_AT:])
    try:
        found = schemaless_reader(rest, made.plain)
    except Exception as error:
        raise Unreadable(f"no {event_type}: {type(error).__name__}") from error
    if rest.read(1) or not isinstance(found, dict):
        raise Unreadable(f"no {event_type}: more bytes than its schema has")
    return found


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _without_logical_types(value) for name, value in schema.items() if name != "logicalType"}
    if isinstance(schema, list):
        return [_without_logical_types(one) for one in schema]
    return schema
