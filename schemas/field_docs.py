"""What every field of an event means, read from its schema: for pages, dictionaries of data, and tests.

A record's fields follow the field that has the record, with a longer path: `lines`, then `lines[].sku`.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from schemas.shapes import load

_LIST: Final = "[]"


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """One field, in the order of the schema.

    path: `lines[].sku` is a field of each record in the list `lines`. kind: Avro's type, a logical type behind it
    (`long, timestamp-micros`), `list of ...`, or the name of a record or an enum. doc: its meaning and unit.
    nullable: it may be null. default: as JSON text, what a reader takes if a writer did not know the field; None if
    every writer must give it. symbols: of an enum, and the default one of these, which means "do not act".
    """

    path: str
    kind: str
    doc: str
    nullable: bool
    default: str | None
    symbols: tuple[str, ...] = ()
    default_symbol: str | None = None


def field_docs(event_type: str) -> tuple[FieldDoc, ...]:
    """Return the fields of an event, those of records inside included. Raises FileNotFoundError for an unknown name."""
    return tuple(_of_record(load(event_type), ""))


def event_doc(event_type: str) -> str:
    """Return what an event means. Raises FileNotFoundError for an unknown name."""
    return str(load(event_type)["doc"])


def _of_record(record: dict[str, Any], path: str) -> list[FieldDoc]:
    found = []
    for field in record["fields"]:
        inner, nullable = _without_null(field["type"])
        where = path + field["name"]
        item, lists = inner, ""
        while isinstance(item, dict) and item["type"] == "array":
            item, lists = item["items"], lists + _LIST
        found.append(
            FieldDoc(
                path=where,
                kind="list of " * lists.count(_LIST) + _kind(item),
                doc=field["doc"],
                nullable=nullable,
                default=json.dumps(field["default"]) if "default" in field else None,
                symbols=tuple(item["symbols"]) if _is(item, "enum") else (),
                default_symbol=item.get("default") if _is(item, "enum") else None,
            )
        )
        if _is(item, "record"):
            found += _of_record(item, f"{where}{lists}.")
    return found


def _without_null(schema: Any) -> tuple[Any, bool]:
    """Return the type, and whether null is allowed beside it. No schema of ours has a union of more than that."""
    if not isinstance(schema, list):
        return schema, False
    (inner,) = (branch for branch in schema if branch != "null")
    return inner, True


def _is(schema: Any, kind: str) -> bool:
    return isinstance(schema, dict) and schema["type"] == kind


def _kind(schema: Any) -> str:
    if not isinstance(schema, dict):
        return str(schema)
    if "logicalType" in schema:
        return f"{schema['type']}, {schema['logicalType']}"
    return str(schema.get("name", schema["type"]))
