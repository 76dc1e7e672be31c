"""Dead letters: messages and stretches that cannot be processed, as they are kept; card numbers are masked."""

from typing import Final

from consumers.runtime.ports import Mask
from domain.ports.source import Message, Stretch
from domain.ports.store import DeadLetter
from schemas.rejection import Reason

NOT_READ: Final = frozenset(
    {Reason.UNDECODABLE, Reason.NOT_CANONICAL, Reason.TOO_LARGE, Reason.UNKNOWN_SCHEMA, Reason.WRONG_SCHEMA}
)
"""Of such a message nobody can say which of its parts are ids."""
CLOUD_EVENTS: Final = "ce_"
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class Letters:
    """Writes the letters of one consumer group. event_type: of the topic that it reads."""

    def __init__(self, group: str, event_type: str, mask: Mask) -> None:
        self._group = group
        self._event_type = event_type
        self._mask = mask

    def of_message(self, message: Message, reason: Reason, detail: str) -> DeadLetter:
        """Return the letter of a message."""
        masked = 0

        def mask(value: bytes | None) -> bytes | None:
            nonlocal masked
            if value is None:
                return None
            value, found = self._mask(self._event_type, value)
            masked += found
            return value

        # The key is the order id, and CloudEvents' headers repeat ids: what looks like a card number there is none.
        # Of a message that cannot be read nobody can say so.
        key = mask(message.key) if reason in NOT_READ else message.key
        body = mask(message.value)
        # Kafka lets a name hold NUL, which no database stores: a message must not stop us by its headers.
        headers = tuple(
            (
                name.replace("\0", REPLACEMENT),
                value if name.startswith(CLOUD_EVENTS) and reason not in NOT_READ else mask(value),
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
        )

    def of_stretch(self, stretch: Stretch, last: int, detail: str, at_ms: int) -> DeadLetter:
        """Return the letter of a stretch that is passed over: of its messages nothing is known but where they stood."""
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
