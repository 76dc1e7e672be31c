"""Encodes wrong events, for tests: by the schema alone, without any other check."""

from datetime import datetime
from io import BytesIO
from typing import Any
from uuid import UUID

from fastavro import schemaless_writer

from schemas.framing import SINGLE_OBJECT
from schemas.shapes import SHAPES
from schemas.writing import micros


class Unencodable(Exception):  # noqa: N818 - an answer, not a fault of ours
    """The schema cannot encode this. The text names no value."""


def encode_unchecked(event_type: str, fields: dict[str, Any]) -> bytes:
    """Encode fields as a single object of this event's schema. Absent ones get its defaults; unknown ones are left out.

    Times are ISO 8601 text, microseconds since 1970, or datetimes with a zone; ids text or UUIDs. Raises Unencodable.
    """
    shape = SHAPES[event_type]
    wire = {name: str(value) if isinstance(value, UUID) else value for name, value in fields.items()}
    try:
        for field in shape.schema["fields"]:
            name = field["name"]
            if "timestamp-micros" in str(field["type"]) and isinstance(moment := wire.get(name), str | datetime):
                wire[name] = micros(datetime.fromisoformat(moment) if isinstance(moment, str) else moment)
        out = BytesIO()
        out.write(SINGLE_OBJECT + shape.fingerprint)
        schemaless_writer(out, shape.wire, wire)
    except Exception as error:  # noqa: BLE001 - fastavro has no common error, and its texts quote values
        raise Unencodable(f"{type(error).__name__} while writing {event_type}") from None
    return out.getvalue()
