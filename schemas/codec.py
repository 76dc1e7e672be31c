"""Encodes events to bytes and decodes bytes to events: strictly, with every check that needs only the message.

Whether an event is too old or from the future depends on the clock: the caller decides that.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from schemas.bodies import read_body, resolve_body
from schemas.cards import mask
from schemas.checks import check
from schemas.conversion import Conversion
from schemas.framing import CONFLUENT, HEADS, FrameReader
from schemas.hiding import Hidden, hide
from schemas.limits import AMOUNT_MAX_MINOR, limits_of
from schemas.models import EVENTS
from schemas.records import Event, OrderEvent, OwnEvent
from schemas.registry import NotRegistered, Registry
from schemas.rejection import Reason, Rejected
from schemas.shapes import SHAPES
from schemas.topics import CONSUMED, subject_name
from schemas.writing import event_writer

MESSAGE_BYTES_MAX: Final = 1_000_000

_WRITE: Final = {event_type: event_writer(shape.schema) for event_type, shape in SHAPES.items()}
_CONVERSIONS: Final = {event_type: Conversion(model, SHAPES[event_type]) for event_type, model in EVENTS.items()}
_READ_BACK: Final = frozenset(t for t in CONSUMED if issubclass(EVENTS[t], OwnEvent))


class Codec:
    """Encodes and decodes the events of one deployment.

    prefix: of the topics; a registry's subjects are `<topic>-value`. With a registry events are written in Confluent's
    framing, else as single objects; both are read. message_bytes_max: no larger message of others is read.
    amount_max_minor: no order may cost more, in minor units: a number for all currencies, or by currency; those that
    are not named keep their defaults. written_max: so many written events are kept. One that comes back is recognized
    by its bytes and not decoded.
    """

    def __init__(
        self,
        *,
        registry: Registry | None = None,
        prefix: str = "",
        message_bytes_max: int = MESSAGE_BYTES_MAX,
        amount_max_minor: int | Mapping[str, int] = AMOUNT_MAX_MINOR,
        written_max: int = 0,
    ) -> None:
        self._registry = registry
        self._prefix = prefix
        self._open = FrameReader(registry, prefix, message_bytes_max).open
        self._amount_max_minor = limits_of(amount_max_minor)
        self._heads = dict(HEADS) if registry is None else {}
        self._written_max = written_max
        self._written: dict[bytes, Event] = {}

    def prepare(self, event_types: Iterable[str]) -> None:
        """Ask the registry for the ids of these events' schemas, and wait for them. Without a registry do nothing.

        Raises NotRegistered, which names the missing schemas, or RegistryUnavailable.
        """
        if self._registry is None:
            return
        missing = []
        for event_type in event_types:
            try:
                self._head(event_type)
            except NotRegistered:
                missing.append(subject_name(self._prefix, event_type))
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
        """Read a message of that event's topic, strictly, and check it. The key must be the event's subject.

        Raises Rejected when this message can never be processed; SchemaAwaited or RegistryUnavailable when trying again
        may help; KeyError for an event type that has no topic.
        """
        event = self.read(event_type, key, value)
        check(event, amount_max_minor=self._amount_max_minor)
        return event

    def read(self, event_type: str, key: bytes | None, value: bytes | None) -> Event:
        """Read a message as `decode` does, without the checks of `schemas.checks`: for messages of the past.

        Those checks change: limits are lowered, currencies withdrawn. What once passed them must still be readable.
        """
        event = None if value is None else self._written.pop(value, None)
        if event is None or event_type != event.TYPE:
            event = self._decode(event_type, value)
        if key is None or key != event.subject.encode():
            subject = "order_id" if isinstance(event, OrderEvent) else "SKU"
            raise Rejected(
                Reason.KEY_MISMATCH,
                f"The message key is not the {subject} in UTF-8. Correct the publisher: keys keep the order of events.",
            )
        return event

    def _decode(self, event_type: str, value: bytes | None) -> Event:
        writer, body = self._open(event_type, value)
        wire = read_body(writer, body)
        if writer.resolve:
            wire = resolve_body(writer.wire, SHAPES[event_type].wire, body)
        return _CONVERSIONS[event_type].to_event(wire)

    def _keep(self, value: bytes, event: Event) -> None:
        """Keep the event for its bytes. Most events of ours come back, once, to the process that wrote them."""
        written = self._written
        written[value] = event
        if len(written) > self._written_max:
            del written[next(iter(written))]

    def mask(self, event_type: str, value: bytes) -> tuple[bytes, int]:
        """Mask card numbers in a body that is kept as a dead letter; return it and how many there were.

        In a body that can be decoded only what upstream words freely is searched (the token, the gateway's id of the
        customer, currency, reason): our ids, SKUs and amounts may look like card numbers. In any other body every such
        run of digits is masked. The length stays the same.
        """
        try:
            writer, body = self._open(event_type, value)
            wire = read_body(writer, body)
        except Exception:  # noqa: BLE001 - it is stored, whatever is wrong with it
            return mask(value)
        method = wire.get("payment_method")
        named = method if isinstance(method, dict) else {}
        total = 0
        for text in (named.get("token"), named.get("gateway_customer_id"), wire.get("currency"), wire.get("reason")):
            clear = text.encode() if isinstance(text, str) else b""
            hidden, count = mask(clear)
            if count:
                value, total = value.replace(clear, hidden), total + count
        return value, total

    def hide(self, event_type: str, value: bytes) -> Hidden:
        """Return a body without its payment token, for others to read. See schemas.hiding."""
        return hide(self._open, event_type, value)

    def _head(self, event_type: str) -> bytes:
        """Ask once for the id under which our schema is registered; return the framing with it."""
        if self._registry is None:
            raise KeyError(event_type)
        schema_id = self._registry.id_of(subject_name(self._prefix, event_type), SHAPES[event_type].schema)
        head = CONFLUENT + schema_id.to_bytes(4, "big")
        self._heads[event_type] = head
        return head
