"""Invariant 10: no consumed message is lost, and every journal row is sent or in the outbox.

Messages are read once, in batches. The id, the content's hash and the place of each go to a temporary table.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date
from typing import Any, Final, LiteralString, NamedTuple, Protocol
from uuid import UUID

import psycopg

from domain.content import hash_content, inbox_content
from outbox.audit.books import Books
from outbox.audit.cards import check_message
from outbox.audit.report import VIOLATIONS_KEPT_MAX
from outbox.journal.rows import ORIGIN, letter_id
from outbox.schema.partitions import oldest_day
from schemas.codec import Codec
from schemas.models import EVENTS
from schemas.records import Event
from schemas.rejection import Reason, Rejected

RULES_OF_THEIR_DAY: Final = frozenset({Reason.AMOUNT_LIMIT, Reason.UNKNOWN_CURRENCY})
DEAD_LETTERS: Final = ".dlt"

_MAKE: Final[LiteralString] = """
    CREATE TEMP TABLE audit_message (topic text NOT NULL, partition integer NOT NULL, message_offset bigint NOT NULL,
                                     event_id uuid, day date, consumer_group text, content bigint, body_hash bytea)"""
_DROP: Final[LiteralString] = "DROP TABLE IF EXISTS audit_message"
_COPY: Final[LiteralString] = "COPY audit_message FROM STDIN (FORMAT BINARY)"
_TYPES: Final = ("text", "int4", "int8", "uuid", "date", "text", "int8", "bytea")
_LOST: Final[LiteralString] = """
    WITH refused AS (
      SELECT m.consumer_group, m.event_id, m.topic, m.partition, m.message_offset, m.content
        FROM audit_message m JOIN dead_letter d USING (consumer_group, topic, partition, message_offset)
       WHERE d.masked OR sha256(d.body) IS NOT DISTINCT FROM m.body_hash),
    stretch AS MATERIALIZED (SELECT * FROM dead_letter WHERE to_offset IS NOT NULL)
    SELECT m.topic, m.partition, m.message_offset, m.consumer_group, count(*) OVER () FROM audit_message m
     WHERE m.consumer_group IS NOT NULL AND (m.day IS NULL OR m.day >= %s)
       AND NOT EXISTS (SELECT FROM inbox i WHERE i.consumer_group = m.consumer_group AND i.event_id = m.event_id
                          AND (i.content = m.content OR i.content IS NULL))
       AND NOT EXISTS (SELECT FROM refused r WHERE r.topic = m.topic AND r.partition = m.partition
                          AND r.message_offset = m.message_offset AND r.consumer_group = m.consumer_group)
       AND NOT EXISTS (SELECT FROM refused r WHERE r.event_id = m.event_id AND r.consumer_group = m.consumer_group
                          AND r.content = m.content)
       AND NOT EXISTS (SELECT FROM stretch s WHERE s.topic = m.topic AND s.partition = m.partition
                           AND s.consumer_group = m.consumer_group
                           AND m.message_offset BETWEEN s.message_offset AND s.to_offset)
     ORDER BY 1, 2, 3 LIMIT %s"""
"""A message is a repetition only if it has the same content; otherwise a conflict was overlooked. A dead letter is of
the message at its offset only if it has the same bytes: a recreated topic repeats its offsets."""
_STRETCHES: Final[LiteralString] = """
    SELECT message_offset, to_offset FROM dead_letter
     WHERE consumer_group = %s AND topic = %s AND partition = %s AND to_offset IS NOT NULL ORDER BY message_offset"""
_UNSENT: Final[LiteralString] = """
    SELECT e.id, e.topic, e.order_id, count(*) OVER () FROM event e
     WHERE NOT EXISTS (SELECT FROM (SELECT unnest(event_ids) AS id FROM outbox) o WHERE o.id = e.id)
       AND NOT EXISTS (SELECT FROM audit_message m WHERE m.event_id = e.event_id AND m.topic = e.topic)
     ORDER BY e.id LIMIT %s"""
_JOURNAL: Final[LiteralString] = "SELECT count(*) FROM event"


class TopicMessage(NamedTuple):
    """One message on its topic. topic: with the prefix. timestamp_ms: its time-stamp, milliseconds since 1970, UTC."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp_ms: int = 0


class Unreadable(NamedTuple):
    """Offsets of a topic, first and last included, that cannot be read."""

    topic: str
    partition: int
    first: int
    last: int
    cause: str


Committed = Mapping[tuple[str, int], int]
"""By topic and partition: the offset below which the topic's one group has consumed everything."""


class TopicReader(Protocol):
    """Everything on the topics. Methods raise Transient if Kafka does not answer."""

    async def committed(self) -> Committed:
        """Return the committed offsets of all groups."""
        ...

    def messages(self) -> AsyncIterator[Sequence[TopicMessage]]:
        """Read every topic, dead letters included, from the first message to the present end."""
        ...

    def unreadable(self) -> Sequence[Unreadable]:
        """Return the offsets that `messages` could not read."""
        ...


async def make_table(connection: psycopg.AsyncConnection[Any]) -> None:
    """Make the temporary table. Call it before the snapshot, which is read only."""
    async with connection.transaction():
        await connection.execute(_DROP)
        await connection.execute(_MAKE)


async def drop_table(connection: psycopg.AsyncConnection[Any]) -> None:
    """Drop the temporary table."""
    async with connection.transaction():
        await connection.execute(_DROP)


async def check_topics(books: Books, reader: TopicReader, committed: Committed) -> None:
    """Compare inbox, journal and outbox of the snapshot with the topics.

    committed: read before the snapshot, so the inbox has all that it covers. The messages are read after the snapshot,
    so they have all that the outbox has sent.
    """
    findings = books.findings[10]
    async with books.connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_TYPES)
        async for batch in reader.messages():
            for message in batch:
                check_message(books, message.topic, message.key, message.value, message.headers)
                await copy.write_row(_row(books, message, committed))
                findings.checked += 1
    for stretch in reader.unreadable():
        await _check_stretch(books, stretch, committed)
    oldest = await oldest_day(books.connection)
    lost = await books.rows(_LOST, [oldest, VIOLATIONS_KEPT_MAX])
    findings.add_violations(
        (
            f"{topic}-{partition} offset {offset} is below what {group} committed, and neither in its inbox nor refused"
            for topic, partition, offset, group, _ in lost
        ),
        times=lost[0][-1] if lost else 0,
    )
    unsent = await books.rows(_UNSENT, [VIOLATIONS_KEPT_MAX])
    findings.add_violations(
        (
            f"journal row {row_id} (order {order_id or 'none'}) is neither on {topic} nor in the outbox"
            for row_id, topic, order_id, _ in unsent
        ),
        times=unsent[0][-1] if unsent else 0,
    )
    findings.checked += (await books.rows(_JOURNAL))[0][0]


async def _check_stretch(books: Books, stretch: Unreadable, committed: Committed) -> None:
    """Note what cannot be read. If the group has gone on behind it, a dead letter must say so."""
    findings = books.findings[10]
    findings.checked += stretch.last - stretch.first + 1
    place = f"{stretch.topic}-{stretch.partition} offsets {stretch.first} to {stretch.last}"
    group = books.scope.groups.get(stretch.topic.removeprefix(books.scope.prefix))
    end = committed.get((stretch.topic, stretch.partition), 0)
    if group is None or end <= stretch.first:
        waits = "" if group is None else f"; {group} stands before them"
        findings.notes.append(f"{place} cannot be read: {stretch.cause}{waits}")
        return
    left = stretch.first
    for first, last in await books.rows(_STRETCHES, [group, stretch.topic, stretch.partition]):
        if first <= left:
            left = max(left, last + 1)
    if left <= min(stretch.last, end - 1):
        findings.add_violations(f"{place} are below what {group} committed, cannot be read, and no dead letter says so")
    findings.notes.append(f"{place} cannot be read: {stretch.cause}; {group} went on behind them")


def _row(books: Books, message: TopicMessage, committed: Committed) -> tuple[object, ...]:
    """Return the row of a message. consumer_group: only if the group has committed an offset behind it."""
    scope = books.scope
    event_type = message.topic.removeprefix(scope.prefix)
    event_id: UUID | None = None
    day: date | None = None
    content: int | None = None
    if event_type.endswith(DEAD_LETTERS):
        event_id = _dead_letter_id(dict(message.headers))
    elif event_type in EVENTS:
        try:
            event = read_by_rules_of_its_day(scope.codec, event_type, message)
        except Exception:  # noqa: BLE001, S110 - its group could not read it either, and quarantined it
            pass
        else:
            event_id, day = event.event_id, event.occurred_at.astimezone(UTC).date()
            content = inbox_content(hash_content(event, message.value or b""))
    consumed = message.offset < committed.get((message.topic, message.partition), 0)
    group = scope.groups.get(event_type) if consumed else None
    body_hash = None if message.value is None else hashlib.sha256(message.value).digest()
    return message.topic, message.partition, message.offset, event_id, day, group, content, body_hash


def read_by_rules_of_its_day(codec: Codec, event_type: str, message: TopicMessage) -> Event:
    """Read a message by the rules of its day: the limit of amounts and the list of currencies may be others now."""
    try:
        return codec.decode(event_type, message.key, message.value)
    except Rejected as rejected:
        if rejected.reason not in RULES_OF_THEIR_DAY:
            raise
        return codec.read(event_type, message.key, message.value)


def _dead_letter_id(headers: Mapping[str, bytes | None]) -> UUID | None:
    """Derive the journal's event id of a dead letter's copy from where the original stood."""
    try:
        group = _text(headers, "kafka_dlt-original-consumer-group")
        topic = _text(headers, "kafka_dlt-original-topic")
        partition = int.from_bytes(headers["kafka_dlt-original-partition"] or b"", "big")
        offset = int.from_bytes(headers["kafka_dlt-original-offset"] or b"", "big")
        origin = _text(headers, ORIGIN) if ORIGIN in headers else ""
    except (KeyError, UnicodeDecodeError):
        return None
    return letter_id(group, topic, partition, offset, origin)


def _text(headers: Mapping[str, bytes | None], name: str) -> str:
    return (headers[name] or b"").decode()
