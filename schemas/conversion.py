"""Converts the plain values of the wire form to events: text to UUIDs, microseconds to times, dicts to records."""

from datetime import timedelta
from typing import Any, Final

from pydantic import ValidationError

from schemas.records import Event, validate
from schemas.rejection import Reason, Rejected
from schemas.shapes import Shape
from schemas.writing import EPOCH

_UUID_LENGTH: Final = 36
"""The logical type does not allow other forms of a UUID (braces, no hyphens, urn:uuid:)."""
_ERRORS_SHOWN_MAX: Final = 3


class Conversion:
    """Converts one type of event. Which fields to convert is read from its schema, once."""

    def __init__(self, model: type[Event], shape: Shape) -> None:
        self._model = model
        self._moments: list[str] = []
        self._uuids: list[str] = []
        for field in shape.schema["fields"]:
            name, of = field["name"], field["type"]
            of = of[1] if isinstance(of, list) else of
            logical = of.get("logicalType") if isinstance(of, dict) else None
            if logical == "timestamp-micros":
                self._moments.append(name)
            elif logical == "uuid":
                self._uuids.append(name)

    def to_event(self, wire: dict[str, Any]) -> Event:
        """Build the event from what fastavro read. Changes `wire`. Raises Rejected(INVALID_FIELD)."""
        try:
            for name in self._moments:
                number = wire[name]
                if number is not None:
                    wire[name] = EPOCH + timedelta(microseconds=number)
        except OverflowError:
            raise _invalid(f"{name}: the time is outside the years 1 to 9999") from None
        for name in self._uuids:
            text = wire[name]
            if text is not None and len(text) != _UUID_LENGTH:
                raise _invalid(f"{name}: not a UUID of 36 characters")
        try:
            return validate(self._model, wire)
        except ValidationError as error:
            raise _invalid(what_is_wrong(error)) from None


def what_is_wrong(error: ValidationError) -> str:
    """Name the wrong fields and what each should be, without their values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    shown = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:_ERRORS_SHOWN_MAX])
    more = len(found) - _ERRORS_SHOWN_MAX
    return f"{shown}; and {more} more" if more > 0 else shown


def _invalid(what: str) -> Rejected:
    return Rejected(Reason.INVALID_FIELD, f"{what}. Correct the publisher and publish the event again.")
