"""A message that cannot be processed, as a value: what is kept of it, and why."""

from dataclasses import dataclass

from domain.ids import EventId, OrderId
from schemas.rejection import Reason


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that cannot be processed, and why. (group, topic, partition, offset) and its bytes identify it.

    key, body, headers: as they came, with card numbers masked and payment tokens hidden; masked: there were some.
    original: the body with its token, if one is or may be hidden; an empty body then shows nothing of it. to_offset:
    the last offset of an unreadable stretch. event_id, order_id: if they can be read. own_inbox: this message wrote the
    event's row in the inbox. waits: it is in quarantine, and later messages of its order wait behind it. behind: it is
    such a later message. number: its id in `payments dlq`, once it is stored.
    """

    group: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    body: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    masked: bool
    reason: Reason
    detail: str
    to_offset: int | None = None
    event_id: EventId | None = None
    order_id: OrderId | None = None
    own_inbox: bool = False
    waits: bool = False
    behind: bool = False
    number: int | None = None
    original: bytes | None = None

    @property
    def whole(self) -> bytes | None:
        """Return the body with its token."""
        return self.body if self.original is None else self.original
