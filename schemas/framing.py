"""The bytes before a body: how they name the schema that the body was written with."""

from typing import Final

from schemas.fields import LARGEST_EVENT_BYTES
from schemas.models import EVENTS
from schemas.records import OwnEvent
from schemas.registry import Registry
from schemas.rejection import Reason, Rejected
from schemas.shapes import SHAPES
from schemas.topics import subject_name
from schemas.unknown import likely_cause
from schemas.versions import EVENT_OF, OURS, RELEASED, Writer, make_writer, reject_schema

SINGLE_OBJECT: Final = b"\xc3\x01"
"""Avro's single-object encoding; 8 bytes of fingerprint follow."""
CONFLUENT: Final = b"\x00"
"""Confluent's framing; 4 bytes of schema id follow, big-endian."""
HEADS: Final = {event_type: SINGLE_OBJECT + shape.fingerprint for event_type, shape in SHAPES.items()}
"""The first bytes of our events as single objects, by event type."""
_FINGERPRINT_END: Final = 10
_ID_END: Final = 5
_OURS_TO_READ: Final = frozenset(t for t, model in EVENTS.items() if issubclass(model, OwnEvent))


class FrameReader:
    """Takes the framing off a message's value and finds the schema that it names. The arguments are those of Codec."""

    def __init__(self, registry: Registry | None, prefix: str, message_bytes_max: int) -> None:
        self._registry = registry
        self._prefix = prefix
        self._message_bytes_max = message_bytes_max
        self._writers: dict[tuple[str, int], Writer | Rejected] = {}

    def open(self, event_type: str, value: bytes | None) -> tuple[Writer, bytes]:
        """Return the writer's schema and the body. Raises what Codec.decode raises."""
        ours = OURS[event_type]
        if value is None:
            raise Rejected(Reason.UNDECODABLE, "The message has no body. Publish the event instead.")
        if len(value) > self._message_bytes_max and not _may_be_ours(event_type, value):
            raise Rejected(
                Reason.TOO_LARGE,
                f"The body has {len(value)} bytes, {self._message_bytes_max} are allowed (PAYMENTS_MESSAGE_BYTES_MAX).",
            )
        if value[:_FINGERPRINT_END] == HEADS[event_type]:
            return ours, value[_FINGERPRINT_END:]
        if value[:2] == SINGLE_OBJECT and len(value) >= _FINGERPRINT_END:
            fingerprint = value[2:_FINGERPRINT_END]
            released = RELEASED.get((event_type, fingerprint))
            if released is None:
                raise _reject_fingerprint(event_type, fingerprint)
            return released, value[_FINGERPRINT_END:]
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
                raise reject_schema(f"Schema id {schema_id} needs a schema registry: set PAYMENTS_SCHEMA_REGISTRY_URL")
            schema = self._registry.schema_of(subject_name(self._prefix, event_type), schema_id)
            writer = make_writer(f"Schema id {schema_id}", schema, SHAPES[event_type])
            self._writers[event_type, schema_id] = writer
        if isinstance(writer, Rejected):
            raise Rejected(writer.reason, writer.detail)
        return writer


def _may_be_ours(event_type: str, value: bytes) -> bool:
    """Whether this may be an event of ours. It may be larger than the limit, and must be read."""
    return event_type in _OURS_TO_READ and len(value) <= LARGEST_EVENT_BYTES


def _reject_fingerprint(event_type: str, found: bytes) -> Rejected:
    other = EVENT_OF.get(found)
    if other is not None:
        return Rejected(Reason.WRONG_SCHEMA, f"This is a {other}, on another event's topic. Publish it on its own.")
    right = SHAPES[event_type].fingerprint.hex()
    return reject_schema(
        f"No schema of this topic has the fingerprint {found.hex()}; the right one is {right}. "
        f"{likely_cause(event_type, found)}"
    )
