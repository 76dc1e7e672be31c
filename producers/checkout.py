"""The checkout stand-in: JSON lines become events, checked as their reader will check them, and then messages.

A line is an object: `type` and the event's own fields, times in ISO 8601. event_id, occurred_at, correlation_id and
causation_id are filled in if absent.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

import orjson
from pydantic import ValidationError

from domain.ports.publisher import OutgoingMessage
from producers.unchecked import Unencodable, encode_unchecked
from schemas.codec import Codec
from schemas.conversion import what_is_wrong
from schemas.envelope import headers
from schemas.records import Event
from schemas.rejection import Rejected
from schemas.shapes import SHAPES
from schemas.topics import TOPICS, topic_name

LINE_BYTES_MAX: Final = 16_000_000
_CORRELATIONS: Final = UUID("5b0f2f0e-6a0c-5d0c-9c55-0c3f8a3f7f11")
_UNCHECKED_ONLY: Final = ("key", "raw_hex")
_ISO_8601: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}")
_TIMES: Final = {
    event_type: frozenset(one["name"] for one in shape.schema["fields"] if "timestamp-micros" in str(one["type"]))
    for event_type, shape in SHAPES.items()
}


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no event. number counts from 1; problem names fields and never quotes what they hold."""

    number: int
    problem: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """What to publish (the id of a message is its line number), by type how many, and the lines that are wrong."""

    messages: list[OutgoingMessage] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    bad: list[BadLine] = field(default_factory=list)


class _Wrong(Exception):  # noqa: N818 - it never leaves this module
    """What is the matter with a line."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """Turns lines into messages. now: what occurred_at is when absent, UTC; new_id: a source of event ids.

    With checked=False nothing is checked but that a line can be turned into bytes: a wrong event is sent as it is, for
    tests. Such lines may hold `raw_hex` (the body, in place of fields) and `key` (text, or null for none).
    """

    codec: Codec
    prefix: str
    now: datetime
    new_id: Callable[[], UUID]
    checked: bool = True

    def prepare(self, lines: Iterable[bytes]) -> Prepared:
        """Read all lines, blank ones aside; all are kept in memory, for nothing is sent before the last is checked.

        Raises RegistryUnavailable or NotRegistered when the codec has a schema registry that fails.
        """
        prepared = Prepared()
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                event_type, message = self._message(number, line)
            except _Wrong as wrong:
                prepared.bad.append(BadLine(number, str(wrong)))
            else:
                prepared.messages.append(message)
                prepared.counts[event_type] = prepared.counts.get(event_type, 0) + 1
        return prepared

    def _message(self, number: int, line: bytes) -> tuple[str, OutgoingMessage]:
        fields = _object(line)
        event_type = fields.pop("type", None)
        if not isinstance(event_type, str) or event_type not in TOPICS:
            raise _Wrong(f"type must be one of {', '.join(TOPICS)}")
        topic = topic_name(self.prefix, event_type)
        if any(name in fields for name in _UNCHECKED_ONLY):
            if self.checked:
                raise _Wrong(f"{' and '.join(_UNCHECKED_ONLY)} are for unchecked lines only")
            return event_type, self._raw(number, event_type, topic, fields)
        self._fill_in(fields)
        try:
            event = self._event(event_type, fields)
            key, body = event.order_id.encode(), self.codec.encode(event)
            if self.checked:
                self.codec.decode(event_type, key, body)
        except _Wrong:
            if self.checked:
                raise
            return event_type, self._raw(number, event_type, topic, fields)
        except Rejected as rejected:
            raise _Wrong(str(rejected)) from None
        source = f"/{TOPICS[event_type].publisher.value}"
        return event_type, OutgoingMessage(number, topic, key, body, headers(event, source))

    def _event(self, event_type: str, fields: dict[str, Any]) -> Event:
        for name in _TIMES[event_type] & fields.keys():
            value = fields[name]
            # pydantic would take a number, or text that is one, for seconds or milliseconds since 1970.
            if value is not None and not (isinstance(value, str | datetime) and _ISO_8601.match(str(value))):
                raise _Wrong(f"{name}: must be a time in ISO 8601, such as 2026-01-31T12:00:00Z")
        try:
            return TOPICS[event_type].model.model_validate(fields)
        except ValidationError as error:
            raise _Wrong(what_is_wrong(error)) from None

    def _fill_in(self, fields: dict[str, Any]) -> None:
        """Give an event what checkout gives every event; all events of an order get one correlation id."""
        fields.setdefault("event_id", str(self.new_id()))
        fields.setdefault("occurred_at", self.now)
        fields.setdefault("causation_id", None)
        if isinstance(order_id := fields.get("order_id"), str):
            fields.setdefault("correlation_id", str(uuid5(_CORRELATIONS, order_id)))

    def _raw(self, number: int, event_type: str, topic: str, fields: dict[str, Any]) -> OutgoingMessage:
        """Build a message without any check of what it means."""
        key = fields.pop("key", fields.get("order_id"))
        raw_hex = fields.pop("raw_hex", None)
        if not isinstance(key, str | None):
            raise _Wrong("key must be text, or null for none")
        try:
            if raw_hex is None:
                self._fill_in(fields)
                body = encode_unchecked(event_type, fields)
            else:
                body = bytes.fromhex(raw_hex)
        except (Unencodable, TypeError, ValueError) as error:
            raise _Wrong(f"not even unchecked can this be encoded: {error}; give the body as raw_hex") from None
        bare = [("ce_specversion", b"1.0"), ("ce_type", event_type.encode()), ("content-type", b"application/avro")]
        return OutgoingMessage(number, topic, None if key is None else key.encode(), body, bare)


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > LINE_BYTES_MAX:
        raise _Wrong(f"over {LINE_BYTES_MAX} bytes: one event a line")
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _Wrong(f"not JSON: {error.msg} (column {error.colno})") from None
    if not isinstance(found, dict):
        raise _Wrong("must be a JSON object with `type` and the event's fields")
    return found
