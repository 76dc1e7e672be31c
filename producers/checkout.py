"""The checkout stand-in: turns JSON lines into events, checks them as their reader will, and makes messages of them.

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
from schemas.models import EVENTS
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
    """A line that is no event. number counts from 1. problem names fields and never quotes their values."""

    number: int
    problem: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """messages: what to publish (an id is a line number). counts: how many of each type. bad: lines that are wrong."""

    messages: list[OutgoingMessage] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    bad: list[BadLine] = field(default_factory=list)


class _Wrong(Exception):  # noqa: N818 - it never leaves this module
    """The line is wrong. The text says why."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """Turns lines into messages.

    now: the default of occurred_at, UTC. new_id: makes event ids. checked=False: for tests, a wrong event is sent as it
    is, if it can be encoded. Such lines may hold `raw_hex` (the body, in place of fields) and `key` (text, or null for
    none).
    """

    codec: Codec
    prefix: str
    now: datetime
    new_id: Callable[[], UUID]
    checked: bool = True

    def prepare(self, lines: Iterable[bytes]) -> Prepared:
        """Read all lines, except blank ones. All stay in memory: nothing is sent before the last is checked.

        Raises RegistryUnavailable or NotRegistered when the codec has a schema registry that fails.
        """
        prepared = Prepared()
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                event_type, message = self._prepare_line(number, line)
            except _Wrong as wrong:
                prepared.bad.append(BadLine(number, str(wrong)))
            else:
                prepared.messages.append(message)
                prepared.counts[event_type] = prepared.counts.get(event_type, 0) + 1
        return prepared

    def _prepare_line(self, number: int, line: bytes) -> tuple[str, OutgoingMessage]:
        fields = _parse(line)
        event_type = fields.pop("type", None)
        if not isinstance(event_type, str) or event_type not in TOPICS:
            raise _Wrong(f"type must be one of {', '.join(TOPICS)}")
        topic = topic_name(self.prefix, event_type)
        if any(name in fields for name in _UNCHECKED_ONLY):
            if self.checked:
                raise _Wrong(f"{' and '.join(_UNCHECKED_ONLY)} are for unchecked lines only")
            return event_type, self._build_unchecked(number, event_type, topic, fields)
        self._fill_in(fields)
        try:
            event = self._build_event(event_type, fields)
            key, body = event.subject.encode(), self.codec.encode(event)
            if self.checked:
                self.codec.decode(event_type, key, body)
        except _Wrong:
            if self.checked:
                raise
            return event_type, self._build_unchecked(number, event_type, topic, fields)
        except Rejected as rejected:
            raise _Wrong(str(rejected)) from None
        return event_type, OutgoingMessage(number, topic, key, body, headers(event, TOPICS[event_type].source))

    def _build_event(self, event_type: str, fields: dict[str, Any]) -> Event:
        for name in _TIMES[event_type] & fields.keys():
            value = fields[name]
            # pydantic reads a number, also as text, as seconds or milliseconds since 1970.
            if value is not None and not (isinstance(value, str | datetime) and _ISO_8601.match(str(value))):
                raise _Wrong(f"{name}: must be a time in ISO 8601, such as 2026-01-31T12:00:00Z")
        try:
            return EVENTS[event_type].model_validate(fields)
        except ValidationError as error:
            raise _Wrong(what_is_wrong(error)) from None

    def _fill_in(self, fields: dict[str, Any]) -> None:
        """Add what checkout adds to every event. All events of an order get one correlation id."""
        fields.setdefault("event_id", str(self.new_id()))
        fields.setdefault("occurred_at", self.now)
        fields.setdefault("causation_id", None)
        if isinstance(subject := fields.get("order_id", fields.get("sku")), str):
            fields.setdefault("correlation_id", str(uuid5(_CORRELATIONS, subject)))

    def _build_unchecked(self, number: int, event_type: str, topic: str, fields: dict[str, Any]) -> OutgoingMessage:
        """Build a message without checking its content."""
        key = fields.pop("key", fields.get("order_id", fields.get("sku")))
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
            raise _Wrong(f"cannot be encoded, even unchecked: {error}; give the body as raw_hex") from None
        bare = [("ce_specversion", b"1.0"), ("ce_type", event_type.encode()), ("content-type", b"application/avro")]
        return OutgoingMessage(number, topic, None if key is None else key.encode(), body, bare)


def _parse(line: bytes) -> dict[str, Any]:
    if len(line) > LINE_BYTES_MAX:
        raise _Wrong(f"over {LINE_BYTES_MAX} bytes: one event a line")
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _Wrong(f"not JSON: {error.msg} (column {error.colno})") from None
    if not isinstance(found, dict):
        raise _Wrong("must be a JSON object with `type` and the event's fields")
    return found
