"""The columns of each event, made from its schema: names, types, units and meanings."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from schemas.hiding import METHOD, SECRETS
from schemas.shapes import SHAPES

EVENT_ID: Final = "event_id"
OCCURRED_AT: Final = "occurred_at"
PARTITION: Final = "kafka_partition"
OFFSET: Final = "kafka_offset"
TIMESTAMP: Final = "kafka_timestamp"
BODY_HASH: Final = "body_hash"
_HIDDEN_DOC: Final = "Hidden: sixteen asterisks stand in place of it."
_UNITS: Final = (("_minor", "minor units of the currency"), ("_id", "id"), ("quantity", "whole units"))


class Kind(StrEnum):
    """What a column holds. MOMENT: UTC, in microseconds. RECORD: a struct. LIST: a list of structs."""

    TEXT = "text"
    WHOLE = "64-bit integer"
    FLAG = "boolean"
    MOMENT = "timestamp with time zone"
    RECORD = "struct"
    LIST = "list of structs"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. parts: those of a struct. uuid: its text is a UUID. symbols: of an enum, else empty.

    hidden: asterisks stand in place of its text.
    """

    name: str
    kind: Kind
    doc: str
    nullable: bool = False
    uuid: bool = False
    parts: tuple["Column", ...] = ()
    symbols: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def unit(self) -> str:
        """Return the unit for people; empty if the kind says all."""
        if self.kind is Kind.MOMENT:
            return "UTC, microseconds"
        if self.uuid:
            return "UUID"
        if self.symbols:
            return "one of " + ", ".join(self.symbols)
        return next((unit for end, unit in _UNITS if self.name.endswith(end)), "")


OF_KAFKA: Final = (
    Column(PARTITION, Kind.WHOLE, "The partition of the topic in which the message stands."),
    Column(
        OFFSET, Kind.WHOLE, "The message's offset in its partition. A repeated event has that of its first message."
    ),
    Column(TIMESTAMP, Kind.MOMENT, "The message's own timestamp, which --from and --to compare; whole milliseconds."),
    Column(BODY_HASH, Kind.WHOLE, "The first eight bytes of the SHA-256 of the message's bytes, as a signed integer."),
)
"""Columns that every event has behind its own."""


def columns_of(event_type: str) -> tuple[Column, ...]:
    """Return the event's columns in the order of its schema, then those of Kafka. KeyError for an unknown event."""
    return COLUMNS[event_type]


def _column(field: dict[str, Any], *, secret: bool = False) -> Column:
    of = field["type"]
    nullable = isinstance(of, list)
    of = of[1] if isinstance(of, list) else of
    described = {"name": field["name"], "doc": _HIDDEN_DOC if secret else field["doc"], "nullable": nullable}
    described["hidden"] = secret
    if isinstance(of, str):
        return Column(kind=_PLAIN[of], **described)
    logical = of.get("logicalType")
    match of["type"]:
        case "record":
            return Column(kind=Kind.RECORD, parts=_parts(of, hides=field["name"] == METHOD), **described)
        case "array":
            return Column(kind=Kind.LIST, parts=_parts(of["items"]), **described)
        case "enum":
            return Column(kind=Kind.TEXT, symbols=tuple(of["symbols"]), **described)
        case plain:
            kind = Kind.MOMENT if logical == "timestamp-micros" else _PLAIN[plain]
            return Column(kind=kind, uuid=logical == "uuid", **described)


def _parts(record: dict[str, Any], *, hides: bool = False) -> tuple[Column, ...]:
    return tuple(_column(field, secret=hides and field["name"] in SECRETS) for field in record["fields"])


# An Avro int is a 64-bit column, too: fastavro reads larger numbers in one, and a file must not fail for that.
_PLAIN: Final = {"string": Kind.TEXT, "long": Kind.WHOLE, "int": Kind.WHOLE, "boolean": Kind.FLAG}

COLUMNS: Final = {
    event_type: (*(_column(field) for field in shape.schema["fields"]), *OF_KAFKA)
    for event_type, shape in SHAPES.items()
}
"""By event type. A test holds that event_id comes first: JSON lines are searched by it."""
