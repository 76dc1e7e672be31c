"""From messages that cannot be processed to dead letters, without a card number in them."""

from collections.abc import Callable
from typing import Final

from domain.ids import EventId, OrderId
from domain.ports.source import Message
from domain.ports.store import DeadLetter
from domain.reaction import Reaction
from outbox.dead_letters import origin_of
from schemas.events import Event
from schemas.rejection import Reason

UNREADABLE: Final = frozenset(
    {Reason.UNDECODABLE, Reason.NOT_CANONICAL, Reason.TOO_LARGE, Reason.UNKNOWN_SCHEMA, Reason.WRONG_SCHEMA}
)
CLOUD_EVENTS: Final = "ce_"
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
ORDER_ID_MAX: Final = 64

Mask = Callable[[str, bytes], tuple[bytes, int]]


class Letters:
    """Makes the dead letters of one reaction. mask: see runtime.ports."""

    def __init__(self, reaction: Reaction, mask: Mask) -> None:
        self._group = reaction.group
        self._type = reaction.trigger.TYPE
        self._mask = mask

    def write(
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
        """Make one. event: what the message says, where it can be read."""
        readable = event is not None or (reason not in UNREADABLE and not waits)
        masked = 0

        def mask(value: bytes | None) -> bytes | None:
            nonlocal masked
            if value is None:
                return None
            value, found = self._mask(self._type, value)
            masked += found
            return value

        # The key is the order id, and CloudEvents' headers repeat ids: what looks like a card number there is none.
        # Of a message that cannot be read nobody can say so.
        key = message.key if readable else mask(message.key)
        body = mask(message.value)
        # Kafka lets a name hold NUL, which no database stores: a message must not stop us by its headers.
        headers = tuple(
            (
                name.replace("\0", REPLACEMENT),
                value if name.startswith(CLOUD_EVENTS) and readable else mask(value) or b"",
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
            body=body,
            headers=headers,
            masked=masked > 0,
            reason=reason,
            detail=detail,
            origin=origin_of(message.key, message.value, message.headers, message.timestamp_ms),
            event_id=None if event is None else EventId(event.event_id),
            order_id=order_id_of(event, None if key != message.key else key, reason),
            own_inbox=own_inbox,
            waits=waits,
            behind=behind,
        )


def order_id_of(event: Event | None, key: bytes | None, reason: Reason) -> OrderId | None:
    """Return the order that a message is of: the event's, else the key's, if that can be an order id.

    A key that is not the event's order id names no order.
    """
    if event is not None:
        return OrderId(event.order_id)
    if key is None or reason is Reason.KEY_MISMATCH or not 1 <= len(key) <= ORDER_ID_MAX:
        return None
    return OrderId(key.decode("ascii")) if all(b"!"[0] <= byte <= b"~"[0] for byte in key) else None
