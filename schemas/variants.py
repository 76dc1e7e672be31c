"""Fingerprints that other libraries compute for our schemas, by mistake: we read what they write.

Avro's specification takes a fingerprint over the Parsing Canonical Form of a schema. In that form no logical type is
left: `{"type": "long", "logicalType": "timestamp-micros"}` is `"long"`. Four libraries keep something of it, each in
its own way, so they name our schemas by other numbers than the specification (see FORMS). The bytes of the body are the
same. Teams that use these libraries cannot change that, and the number still names exactly one of our schemas. So it is
accepted. What we write has the fingerprint of the specification.

`make neighbours` runs these libraries and compares. A new release of a library may mend its form: then it computes
the right fingerprint, and the row here stays for those who have the old release.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from schemas.fingerprints import crc_64_avro

Form = Mapping[str, Any]
"""What a library leaves of a primitive type with a logical type, by logical type."""

_UUID: Final = {"type": "string", "logicalType": "uuid"}
_MICROS: Final = {"type": "long", "logicalType": "timestamp-micros"}

SPECIFICATION: Final[Form] = {"uuid": "string", "timestamp-micros": "long"}
FORMS: Final[dict[str, Form]] = {
    # It writes the logical type into its canonical form.
    "hamba/avro": {"uuid": _UUID, "timestamp-micros": _MICROS},
    # It strips the attribute, but not the braces around it. It does not know uuid, removes that before, and then sees
    # a primitive type alone, which it reduces.
    "goavro": {"uuid": "string", "timestamp-micros": {"type": "long"}},
    # Python's avro and Rust's apache-avro: they reduce a primitive type only where nothing stood beside it.
    "avro and apache-avro": {"uuid": {"type": "string"}, "timestamp-micros": {"type": "long"}},
}
"""The forms of hamba/avro 2.31.0 and goavro 2.15.0 (Go), apache-avro 0.22.0 (Rust), avro 1.12.1 (Python)."""

_PRIMITIVE: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


def fingerprints(schema: dict[str, Any]) -> dict[str, bytes]:
    """Return the fingerprint of a schema in each of FORMS, 8 bytes little-endian. Raises ValueError as canonical_form.

    A schema without logical types has the same fingerprint in all of them.
    """
    return {library: crc_64_avro(canonical_form(schema, form)) for library, form in FORMS.items()}


def canonical_form(schema: dict[str, Any], form: Form = SPECIFICATION) -> str:
    """Return a schema's canonical form as one library writes it.

    Raises ValueError for a logical type that is not in the form, and for a type (fixed, a namespace within) of which
    we have not looked up what the libraries do.
    """
    return json.dumps(_reduce(schema, form, str(schema.get("namespace", ""))), separators=(",", ":"))


def _reduce(schema: Any, form: Form, namespace: str) -> Any:
    if isinstance(schema, str):
        return schema if schema in _PRIMITIVE or "." in schema else f"{namespace}.{schema}"
    if isinstance(schema, list):
        return [_reduce(branch, form, namespace) for branch in schema]
    if schema.get("namespace", namespace) != namespace:
        raise ValueError(f"{schema['name']} has a namespace of its own: see what the libraries make of it")
    match schema["type"]:
        case "record":
            fields = [{"name": f["name"], "type": _reduce(f["type"], form, namespace)} for f in schema["fields"]]
            return {"name": f"{namespace}.{schema['name']}", "type": "record", "fields": fields}
        case "enum":
            return {"name": f"{namespace}.{schema['name']}", "type": "enum", "symbols": schema["symbols"]}
        case "array":
            return {"type": "array", "items": _reduce(schema["items"], form, namespace)}
        case "map":
            return {"type": "map", "values": _reduce(schema["values"], form, namespace)}
        case primitive if primitive in _PRIMITIVE and schema.keys() == {"type"}:
            return primitive
        case primitive if primitive in _PRIMITIVE and schema.get("logicalType") in form:
            return form[schema["logicalType"]]
        case other:
            raise ValueError(f"{other} with {sorted(schema)}: see what the libraries make of it, and say it in FORMS")
