"""Between bytes on a topic and events: framing, strict decoding, and every check that needs nothing but the message.

Whether an event is too old or from the future depends on the clock, and is decided where there is one.
"""

from collections.abc import Iterable
from io import BytesIO
from typing import Any, Final

from fastavro import schemaless_reader

from schemas.blocks import Malformed, with_single_blocks
from schemas.cards import mask
from schemas.checks import AMOUNT_MAX_MINOR, check
from schemas.conversion import Conversion
from schemas.fields import LARGEST_EVENT_BYTES
from schemas.records import Event, OwnEvent
from schemas.registry import NotRegistered, Registry
from schemas.rejection import Reason, Rejected
from schemas.shapes import BY_FINGERPRINT, SHAPES
from schemas.topics import CONSUMED, EVENTS, topic_name
from schemas.versions import OURS, Writer, studied, unreadable_schema
from schemas.writing import event_writer

MESSAGE_BYTES_MAX: Final = 1_000_000
SINGLE_OBJECT: Final = b"\xc3\x01"
"""Avro's single-object encoding; 8 bytes of fingerprint follow."""
CONFLUENT: Final = b"\x00"
"""Confluent's framing; 4 bytes of schema id follow, big-endian."""
_FINGERPRINT_END: Final = 10
_ID_END: Final = 5

_WRITE: Final = {event_type: event_writer(shape.schema) for event_type, shape in SHAPES.items()}
_CONVERSIONS: Final = {event_type: Conversion(model, SHAPES[event_type]) for event_type, model in EVENTS.items()}
_READ_BACK: Final = frozenset(t for t in CONSUMED if issubclass(EVENTS[t], OwnEvent))
_OURS_TO_READ: Final = frozenset(t for t, model in EVENTS.items() if issubclass(model, OwnEvent))
_HEADS: Final = {event_type: SINGLE_OBJECT + shape.fingerprint for event_type, shape in SHAPES.items()}


class Codec:
    """Encodes and decodes the events of one deployment.

    prefix is that of the topics, for a registry's subjects (`<topic>-value`). With a registry events are written in
    Confluent's framing, else as single objects; both are read. message_bytes_max bounds what is looked at of others,
    amount_max_minor what an order may cost, in minor units of any currency. written_max: so many events of ours are
    kept in mind, to be known by their bytes when they come back, and not decoded.
    """

    def __init__(
        self,
        *,
        registry: Registry | None = None,
        prefix: str = "",
        message_bytes_max: int = MESSAGE_BYTES_MAX,
        amount_max_minor: int = AMOUNT_MAX_MINOR,
        written_max: int = 0,
    ) -> None:
        self._registry = registry
        self._prefix = prefix
        self._message_bytes_max = message_bytes_max
        self._amount_max_minor = amount_max_minor
        self._heads = dict(_HEADS) if registry is None else {}
        self._writers: dict[tuple[str, int], Writer | Rejected] = {}
        self._written_max = written_max
        self._written: dict[bytes, Event] = {}

    def prepare(self, event_types: Iterable[str]) -> None:
        """Find now what writing these events needs of the registry; without a registry, that is nothing.

        It waits for the registry's answers. Raises NotRegistered that names all which are not there, or
        RegistryUnavailable.
        """
        if self._registry is None:
            return
        missing = []
        for event_type in event_types:
            try:
                self._head(event_type)
            except NotRegistered:
                missing.append(self._subject(event_type))
        if missing:
            raise NotRegistered(
                f"the registry lacks the schemas of {', '.join(missing[:3])}{' ...' if missing[3:] else ''} "
                f"({len(missing)} subjects): run `payments schemas register`"
            )

    def encode(self, event: Event) -> bytes:
        """Write the event as its topic carries it; the same event always gives the same bytes.

        Raises NotRegistered or RegistryUnavailable the first time a type is written, when there is a registry.
        """
        event_type = event.TYPE
        value = (self._heads.get(event_type) or self._head(event_type)) + _WRITE[event_type](event)
        if self._written_max and event_type in _READ_BACK:
            self._keep(value, event)
        return value

    def decode(self, event_type: str, key: bytes | None, value: bytes | None) -> Event:
        """Read a message of that event's topic, strictly, and check what it says. The key must be the order id.

        Raises Rejected when this message can never be acted on; SchemaAwaited or RegistryUnavailable when trying again
        may help; KeyError for an event type that has no topic.
        """
        event = None if value is None else self._written.pop(value, None)
        if event is None or event_type != event.TYPE:
            event = self._decode(event_type, value)
        if key is None or key != event.order_id.encode():
            raise Rejected(
                Reason.KEY_MISMATCH,
                "The message key is not the order_id in UTF-8. Correct the publisher: keys keep the order of events.",
            )
        check(event, amount_max_minor=self._amount_max_minor)
        return event

    def _decode(self, event_type: str, value: bytes | None) -> Event:
        writer, body = self._open(event_type, value)
        wire = _read(writer, body)
        if writer.resolve:
            wire = _resolve(writer.wire, SHAPES[event_type].wire, body)
        return _CONVERSIONS[event_type].to_event(wire)

    def _keep(self, value: bytes, event: Event) -> None:
        """Remember what these bytes say. Most events of ours come back, once, to the process that wrote them."""
        written = self._written
        written[value] = event
        if len(written) > self._written_max:
            del written[next(iter(written))]

    def mask(self, event_type: str, value: bytes) -> tuple[bytes, int]:
        """Hide card numbers in a body that is kept as a dead letter; return it and how many there were.

        In a body that can be read only tokens and currencies are looked at: ids, SKUs and amounts may look like card
        numbers and are none. In any other body every such run is hidden. The length stays.
        """
        try:
            writer, body = self._open(event_type, value)
            wire = _read(writer, body)
        except Exception:  # noqa: BLE001 - whatever is the matter with it, it is about to be stored
            return mask(value)
        method = wire.get("payment_method")
        token = method.get("token") if isinstance(method, dict) else None
        total = 0
        for text in (token, wire.get("currency")):
            clear = text.encode() if isinstance(text, str) else b""
            hidden, count = mask(clear)
            if count:
                value, total = value.replace(clear, hidden), total + count
        return value, total

    def _head(self, event_type: str) -> bytes:
        """Find the id under which our schema is registered, once."""
        if self._registry is None:
            raise KeyError(event_type)
        schema_id = self._registry.id_of(self._subject(event_type), SHAPES[event_type].schema)
        head = CONFLUENT + schema_id.to_bytes(4, "big")
        self._heads[event_type] = head
        return head

    def _subject(self, event_type: str) -> str:
        return topic_name(self._prefix, event_type) + "-value"

    def _open(self, event_type: str, value: bytes | None) -> tuple[Writer, bytes]:
        """Take the framing off and find the schema that it names."""
        ours = OURS[event_type]
        if value is None:
            raise Rejected(Reason.UNDECODABLE, "The message has no body. Publish the event instead.")
        if len(value) > self._message_bytes_max and not _is_of_ours(event_type, value):
            raise Rejected(
                Reason.TOO_LARGE,
                f"The body has {len(value)} bytes, {self._message_bytes_max} are allowed (PAYMENTS_MESSAGE_BYTES_MAX).",
            )
        if value[:_FINGERPRINT_END] == _HEADS[event_type]:
            return ours, value[_FINGERPRINT_END:]
        if value[:2] == SINGLE_OBJECT and len(value) >= _FINGERPRINT_END:
            raise _not_this_fingerprint(value[2:_FINGERPRINT_END])
        if value[:1] == CONFLUENT and len(value) >= _ID_END:
            return self._writer(event_type, int.from_bytes(value[1:_ID_END], "big")), value[_ID_END:]
        raise Rejected(
            Reason.UNDECODABLE,
            "The body begins neither as an Avro single object (C3 01) nor as Confluent's framing (00). Encode it so.",
        )

    def _writer(self, event_type: str, schema_id: int) -> Writer:
        """Find the schema behind a registry's id; it must belong to this topic."""
        writer = self._writers.get((event_type, schema_id))
        if writer is None:
            if self._registry is None:
                raise unreadable_schema(
                    f"Schema id {schema_id} needs a schema registry: set PAYMENTS_SCHEMA_REGISTRY_URL"
                )
            schema = self._registry.schema_of(self._subject(event_type), schema_id)
            writer = studied(f"Schema id {schema_id}", schema, SHAPES[event_type])
            self._writers[event_type, schema_id] = writer
        if isinstance(writer, Rejected):
            raise Rejected(writer.reason, writer.detail)
        return writer


def _is_of_ours(event_type: str, value: bytes) -> bool:
    """Whether this may be an event of ours: it may be larger than the order that it speaks of, and must be read."""
    return event_type in _OURS_TO_READ and len(value) <= LARGEST_EVENT_BYTES


def _not_this_fingerprint(found: bytes) -> Rejected:
    other = BY_FINGERPRINT.get(found)
    if other is not None:
        return Rejected(Reason.WRONG_SCHEMA, f"This is a {other}, on another event's topic. Publish it on its own.")
    return unreadable_schema(f"No schema of this topic has the fingerprint {found.hex()}")


def _read(writer: Writer, body: bytes) -> dict[str, Any]:
    """Decode a body and insist that it is the canonical encoding, up to how arrays and maps are cut into blocks."""
    try:
        value = schemaless_reader(BytesIO(body), writer.wire, None)
        canonical = writer.write(value)
    except Exception as error:  # noqa: BLE001 - fastavro has no common error; any means that this is no such record
        raise Rejected(
            Reason.UNDECODABLE,
            f"The body is not a record of its schema ({type(error).__name__}). Encode it with an Avro library.",
        ) from None
    if not isinstance(value, dict):
        raise TypeError("A schema that is no record was let through.")
    if canonical != body and not _same_but_for_blocks(writer.wire, body, canonical):
        raise Rejected(
            Reason.NOT_CANONICAL,
            "The body is not the canonical encoding of what it says (bytes left over, or a number or index written "
            "another way). Encode it with an Avro library.",
        )
    return value


def _same_but_for_blocks(wire: dict[str, Any], body: bytes, canonical: bytes) -> bool:
    try:
        return with_single_blocks(wire, body) == canonical
    except Malformed:
        return False


def _resolve(writer: dict[str, Any], reader: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Read a body of another version as one of ours."""
    try:
        value = schemaless_reader(BytesIO(body), writer, reader)
    except Exception as error:  # noqa: BLE001 - as above
        raise Rejected(
            Reason.UNDECODABLE,
            f"The body cannot be read with this release's schema ({type(error).__name__}). Run a newer release.",
        ) from None
    if not isinstance(value, dict):
        raise TypeError("A schema that is no record was let through.")
    return value
