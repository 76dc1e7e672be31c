"""Between an event and the plain values of its wire form: text for UUIDs, microseconds for times, dicts for records."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from schemas.records import Event
from schemas.rejection import Reason, Rejected
from schemas.shapes import NAMESPACE, Shape

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_UUID_LENGTH: Final = 36
"""Other spellings of a UUID (braces, no hyphens, urn:uuid:) are not what the logical type allows."""
_ERRORS_TOLD_MAX: Final = 3

Converter = Callable[[Any], Any]


def micros(moment: datetime) -> int:
    """Return microseconds since 1970-01-01T00:00:00Z."""
    return (moment - EPOCH) // _MICROSECOND


class Conversion:
    """Converts one type of event; what there is to do is read from its schema once."""

    def __init__(self, model: type[Event], shape: Shape) -> None:
        self._model = model
        self._writers: list[tuple[str, Converter]] = []
        self._moments: list[str] = []
        self._uuids: list[str] = []
        for field in shape.schema["fields"]:
            name, of = field["name"], field["type"]
            nullable = isinstance(of, list)
            of = of[1] if nullable else of
            writer = _writer(of)
            if nullable:
                self._writers.append((name, _or_null(_branch(of), writer)))
            elif writer is not None:
                self._writers.append((name, writer))
            logical = of.get("logicalType") if isinstance(of, dict) else None
            if logical == "timestamp-micros":
                self._moments.append(name)
            elif logical == "uuid":
                self._uuids.append(name)

    def to_wire(self, event: Event) -> dict[str, Any]:
        """Return what fastavro writes for this event. The event was validated when it was built."""
        wire = dict(event.__dict__)
        for name, writer in self._writers:
            wire[name] = writer(wire[name])
        return wire

    def loose_to_wire(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what fastavro may write for fields as JSON has them, times as ISO 8601 text, right or wrong."""
        wire = {name: str(value) if isinstance(value, UUID) else value for name, value in fields.items()}
        for name in self._moments:
            value = wire.get(name)
            if value is not None:
                moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
                wire[name] = micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        return wire

    def to_event(self, wire: dict[str, Any]) -> Event:
        """Build the event of what fastavro read, which is changed on the way. Raises Rejected(INVALID_FIELD)."""
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
            return self._model.model_validate(wire)
        except ValidationError as error:
            raise _invalid(what_is_wrong(error)) from None


def what_is_wrong(error: ValidationError) -> str:
    """Name the fields and what each should be, without a word of what they hold."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found[:_ERRORS_TOLD_MAX])
    more = len(found) - _ERRORS_TOLD_MAX
    return f"{told}; and {more} more" if more > 0 else told


def _invalid(what: str) -> Rejected:
    return Rejected(Reason.INVALID_FIELD, f"{what}. Correct the publisher and publish the event again.")


def _writer(of: Any) -> Converter | None:
    """Return how values of this type are written, or None when they are written as they are."""
    if not isinstance(of, dict):
        return None
    match of["type"], of.get("logicalType"):
        case _, "uuid":
            return str
        case _, "timestamp-micros":
            return micros
        case "record", _:
            return _fields
        case "array", _:
            return _each
        case _:
            return None


def _fields(record: Any) -> dict[str, Any]:
    fields: dict[str, Any] = record.__dict__
    return fields


def _each(records: Any) -> list[dict[str, Any]]:
    return [record.__dict__ for record in records]


def _branch(of: Any) -> str:
    """Return the name by which fastavro knows a union's branch."""
    if not isinstance(of, dict):
        return str(of)
    return f"{NAMESPACE}.{of['name']}" if of["type"] == "record" else str(of["type"])


def _or_null(branch: str, writer: Converter | None) -> Converter:
    """Name the branch of a value, which spares fastavro to try it on each."""

    def write(value: Any) -> Any:
        if value is None:
            return None
        return branch, value if writer is None else writer(value)

    return write
