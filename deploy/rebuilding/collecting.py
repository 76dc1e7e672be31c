"""Reads all topics, and keeps the messages that a restored database does not know of."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from deploy.kafka_topics import KafkaTopics
from domain.reaction import Reaction
from outbox.audit import Committed, TopicMessage
from outbox.audit.rebuild import Scratch
from outbox.audit.rebuild import kept as rows
from outbox.audit.rebuild.kept import Kept
from outbox.audit.rebuild.said import said_of
from outbox.audit.topics import read_by_rules_of_its_day
from outbox.operators.taking_over import Name, processed, versions
from schemas.codec import Codec
from schemas.events import CustomerNotificationRequested, Event, OrderEvent, OwnEvent
from schemas.models import EVENTS
from schemas.rejection import Rejected

TOLD_AGAIN: Final = CustomerNotificationRequested.TYPE
"""Its consumer reads it again: whether the customer was told nobody knows. It opens nothing."""
OFFSETS_BEHIND: Final = 1_000
"""A batch may have been decided on before its offsets were committed: so many messages behind them count as read."""


class _Read(NamedTuple):
    """A message, its event, and the inbox row that it would have; None: nobody of ours consumes it."""

    message: TopicMessage
    event: Event
    name: Name | None


class Reading(NamedTuple):
    """What is needed to read. groups: of the consumers, by event type. oldest: the inbox's first day."""

    topics: KafkaTopics
    codec: Codec
    prefix: str
    groups: Mapping[str, str]
    oldest: date


async def collect(
    reading: Reading,
    connection: psycopg.AsyncConnection[Any],
    scratch: Scratch,
    committed: Committed,
    waiting: Collection[UUID],
    progress: Callable[[str], None],
) -> set[UUID]:
    """Keep, in the scratch schema, what the database behind the connection does not know.

    waiting: events in its outbox. Returns those of them that are on their topics.

    Messages that cannot be read, and those that claim to be ours and are not, are left to their consumers.
    """
    kept, sent = 0, set[UUID]()
    async for batch in reading.topics.messages():
        read = [one for message in batch if (one := _read(reading, message)) is not None]
        known = await processed(connection, [one.name for one in read if one.name is not None])
        there = await versions(connection, sorted({_subject(one.event) for one in read}))
        found = [row for one in read if (row := _keep(one, known, there, committed)) is not None]
        await scratch.copy(rows.INSERT, found)
        kept += len(found)
        sent |= {one.event.event_id for one in read if one.event.event_id in waiting}
        progress(f"{kept:,} messages that the database does not know")
    return sent


def _read(reading: Reading, message: TopicMessage) -> _Read | None:
    event_type = message.topic.removeprefix(reading.prefix)
    if event_type not in EVENTS:
        return None
    try:
        event = read_by_rules_of_its_day(reading.codec, event_type, message)
    except Rejected:
        return None
    if isinstance(event, OwnEvent) and said_of(event, message.value, consumed=False) is None:
        return None
    group = reading.groups.get(event_type)
    day = event.occurred_at.astimezone(UTC).date()
    consumed = group is not None and event_type != TOLD_AGAIN and day >= reading.oldest
    return _Read(message, event, Name(event.event_id, str(group), day) if consumed else None)


def _keep(one: _Read, known: set[tuple[Any, str]], there: Mapping[str, int], committed: Committed) -> Kept | None:
    """Return the row of a message that matters."""
    event, message = one.event, one.message
    told = isinstance(event, OwnEvent) and event.order_version > there.get(event.order_id, -1)
    trigger = one.name is not None and (one.name.event_id, one.name.group) not in known
    if not told and not trigger:
        return None
    upto = committed.get((message.topic, message.partition), 0)
    return Kept(
        _subject(event),
        message.topic,
        message.partition,
        message.offset,
        message.timestamp_ms,
        event.event_id,
        told,
        trigger,
        message.offset < upto + OFFSETS_BEHIND,
        message.key,
        message.value,
    )


def _subject(event: Event) -> str:
    """Name the order; of what is about a SKU alone, a word that no order's id can be."""
    return event.order_id if isinstance(event, OrderEvent) else f" {event.subject}"


def groups_of(consumed: Sequence[Reaction]) -> dict[str, str]:
    """Return the groups of these reactions, by the event type that they consume."""
    return {reaction.trigger.TYPE: reaction.group for reaction in consumed}


def oldest_day(today: date, retention_days: int) -> date:
    """Return the first day of which the inbox knows what was processed."""
    return today - timedelta(days=retention_days)
