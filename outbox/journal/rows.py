"""Makes rows of the journal from events and dead letters. A payload that cannot be encoded fails before the commit."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from domain.dead_letter import DeadLetter
from domain.errors import Transient, Unfit
from domain.tracing import Trace
from outbox.driver.batches import Row
from outbox.journal.letters import FIRST_OF_OURS, Header, cut_copy
from outbox.journal.limits import original_headers, signed_bytes, storable_text
from schemas.events import Event, OwnEvent
from schemas.registry import NotRegistered, RegistryUnavailable
from schemas.topics import topic_name

DEAD_LETTER_NAMESPACE = UUID("2b6a1f0e-59c6-5a64-8a5e-1d3c8b7f9a20")
ORIGIN = "payments_origin"
"""The header with the origin of the copy's letter, in hex."""


class RowEncoder:
    """Makes rows of `event`. bytes_max: a larger encoded body raises ValueError, for it is a bug of ours."""

    def __init__(self, encode: Callable[[Event], bytes], prefix: str, bytes_max: int) -> None:
        self._encode = encode
        self._prefix = prefix
        self._bytes_max = bytes_max
        self._topics: dict[str, str] = {}

    def topic(self, event_type: str) -> str:
        """Return the topic of this event type, with the prefix."""
        if event_type not in self._topics:
            self._topics[event_type] = topic_name(self._prefix, event_type)
        return self._topics[event_type]

    def event_row(self, event: OwnEvent, order_number: int, trace: Trace | None = None) -> Row:
        """Return the journal row of an event, see statements.EVENT_COLUMNS. trace: the context that it is sent with.

        The relay makes the message's key and headers from the row.
        """
        try:
            body = self._encode(event)
        except RegistryUnavailable as error:
            raise Transient(f"the schema registry does not answer: {error}") from error
        except NotRegistered as error:
            raise Unfit(str(error)) from error
        if len(body) > self._bytes_max:
            raise ValueError(
                f"{event.TYPE} of order {event.order_id} has {len(body)} bytes, more than PAYMENTS_EVENT_BYTES_MAX "
                f"({self._bytes_max}); raise both that and the topic's max.message.bytes"
            )
        return (
            event.event_id,
            event.order_id,
            order_number,
            event.order_version,
            event.ordinal,
            self.topic(event.TYPE),
            body,
            event.occurred_at,
            event.causation_id,
            trace,
        )


def letter_origin(letter: DeadLetter) -> bytes:
    """Return a hash that differs for other messages at the same offset: a recreated topic repeats its offsets.

    It is over the bytes as they are kept. Card numbers are masked there, so no hash of one is stored.
    """
    digest = hashlib.sha256()
    headers = (part for name, value in original_headers(letter) for part in (name.encode(), value))
    for part in (letter.key, letter.whole, *headers):
        digest.update(b"\0" if part is None else len(part).to_bytes(8, "big") + part)
    return digest.digest()


def letter_id(group: str, topic: str, partition: int, offset: int, origin: str) -> UUID:
    """Return the event id of a letter's copy. origin: in hex; empty for letters from before 0004."""
    coordinates = f"{group}:{topic}:{partition}:{offset}"
    return uuid5(DEAD_LETTER_NAMESPACE, f"{coordinates}:{origin}" if origin else coordinates)


def dead_letter_row(row_id: int, letter: DeadLetter, at: datetime) -> Row:
    """Return the journal row of the copy that goes to `<topic>.dlt`, cut to its bounds (see letters.py)."""
    origin = letter_origin(letter).hex()
    left_out = letter.original if letter.original is not None and not letter.body else None
    copy = cut_copy(letter.key, letter.body, original_headers(letter), _our_headers(letter, origin), left_out=left_out)
    return (
        row_id,
        letter_id(letter.group, letter.topic, letter.partition, letter.offset, origin),
        "",
        0,
        0,
        f"{letter.topic}.dlt",
        copy.key,
        copy.body,
        [name for name, _ in copy.headers],
        [value for _, value in copy.headers],
        at,
        None,
    )


def _our_headers(letter: DeadLetter, origin: str) -> Sequence[Header]:
    """Return Spring's `kafka_dlt-*` headers (numbers big-endian), and the reason."""
    return (
        (FIRST_OF_OURS, letter.topic.encode()),
        ("kafka_dlt-original-partition", signed_bytes(letter.partition, 4)),
        ("kafka_dlt-original-offset", signed_bytes(letter.offset, 8)),
        ("kafka_dlt-original-timestamp", signed_bytes(letter.timestamp_ms, 8)),
        ("kafka_dlt-original-timestamp-type", b"CreateTime"),
        ("kafka_dlt-original-consumer-group", letter.group.encode()),
        ("kafka_dlt-exception-fqcn", b"schemas.rejection.Rejected"),
        ("kafka_dlt-exception-message", storable_text(letter.detail).encode()),
        ("payments_reason", letter.reason.value.encode()),
        (ORIGIN, origin.encode()),
    )
