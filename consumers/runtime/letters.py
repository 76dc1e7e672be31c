"""Dead letters, built from messages and stretches that cannot be processed.

Card numbers are masked. Payment tokens are hidden in everything but `original`, which only the table has.
"""

from typing import Final

from consumers.runtime.ports import Mask
from domain.dead_letter import DeadLetter
from domain.ids import EventId, OrderId
from domain.ports.source import Message, Stretch
from schemas import cards
from schemas.events import Event, OrderEvent
from schemas.hiding import Hidden, hide_in
from schemas.models import EVENTS
from schemas.rejection import Reason

NOT_READ: Final = frozenset(
    {Reason.UNDECODABLE, Reason.NOT_CANONICAL, Reason.TOO_LARGE, Reason.UNKNOWN_SCHEMA, Reason.WRONG_SCHEMA}
)
"""In such a message we cannot tell which parts are ids."""
CLOUD_EVENTS: Final = "ce_"
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
ORDER_ID_MAX: Final = 64


class Letters:
    """Builds the letters of one consumer group. event_type: of the topic that it reads; empty: nobody knows."""

    def __init__(self, group: str, event_type: str, mask: Mask) -> None:
        self._group = group
        self._event_type = event_type
        self._of_orders = event_type not in EVENTS or issubclass(EVENTS[event_type], OrderEvent)
        self._mask = mask

    def of_message(
        self,
        message: Message,
        reason: Reason,
        detail: str,
        event: Event | None = None,
        *,
        own_inbox: bool = False,
        waits: bool = False,
        behind: bool = False,
    ) -> DeadLetter:
        """Return the letter of a message. event: the message, decoded, if it can be."""
        readable = event is not None or not (waits or reason in NOT_READ)
        masked = 0

        def mask(value: bytes | None) -> bytes | None:
            nonlocal masked
            if value is None:
                return None
            value, found = self._mask.mask(self._event_type, value)
            masked += found
            return value

        body = mask(message.value)
        shown = Hidden(None) if body is None else self._mask.hide(self._event_type, body)
        is_whole = shown.body == body
        # The key is the order id, and CloudEvents headers repeat ids. They may look like card numbers: keep them.
        # In a message that cannot be read we do not know whether they are ids: mask everything.
        key = message.key if readable else mask(message.key)
        if key is not None and event is None:
            key = hide_in(key, shown.secrets)
        headers = tuple(
            (
                _name(name),
                _hidden(value if name.startswith(CLOUD_EVENTS) and readable else mask(value), shown.secrets),
            )
            for name, value in message.headers
        )
        return DeadLetter(
            group=self._group,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=message.timestamp_ms,
            key=key,
            body=body if is_whole else shown.body or b"",
            headers=headers,
            masked=masked > 0 or not is_whole,
            reason=reason,
            detail=detail,
            event_id=None if event is None else EventId(event.event_id),
            order_id=self.order_id_of(event, key if key == message.key else None, reason),
            own_inbox=own_inbox,
            waits=waits,
            behind=behind,
            original=None if is_whole else body,
        )

    def order_id_of(self, event: Event | None, key: bytes | None, reason: Reason) -> OrderId | None:
        """Return the order of a message: the event's, or else the key, if that can be an order id.

        A key that differs from the event's order id names no order, nor does one of a topic about something else.
        """
        if isinstance(event, OrderEvent):
            return OrderId(event.order_id)
        if not self._of_orders or key is None or reason is Reason.KEY_MISMATCH or not 1 <= len(key) <= ORDER_ID_MAX:
            return None
        return OrderId(key.decode("ascii")) if all(b"!"[0] <= byte <= b"~"[0] for byte in key) else None

    def of_stretch(self, stretch: Stretch, last: int, detail: str, at_ms: int) -> DeadLetter:
        """Return the letter of a stretch that is passed over. We only know where its messages were."""
        headers = (
            ("payments_to_offset", str(last).encode()),
            ("payments_topic_id", stretch.topic_id.encode()),
        )
        return DeadLetter(
            group=self._group,
            topic=stretch.topic,
            partition=stretch.partition,
            offset=stretch.first,
            timestamp_ms=at_ms,
            key=None,
            body=None,
            headers=headers,
            masked=False,
            reason=Reason.UNREADABLE,
            detail=detail,
            to_offset=last,
        )


def _hidden(value: bytes | None, secrets: tuple[bytes, ...]) -> bytes | None:
    return None if value is None else hide_in(value, secrets)


def _name(name: str) -> str:
    """Return a header's name without NUL, which PostgreSQL cannot store, and without card numbers.

    Kafka allows any text as a name, and no message may stop us with its headers.
    """
    hidden, _ = cards.mask(name.encode("utf-8", "surrogatepass"))
    return hidden.decode("utf-8", "surrogatepass").replace("\0", REPLACEMENT)


def ids_of(letter: DeadLetter) -> dict[str, object]:
    """Return the ids of a dead letter for the log."""
    event_id = None if letter.event_id is None else str(letter.event_id)
    return {
        "letter_id": letter.number,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "order_id": letter.order_id,
        "event_id": event_id,
    }
