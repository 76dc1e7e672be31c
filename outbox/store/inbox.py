"""The inbox: which events a consumer group has processed, by event id and day, and what they said.

Two messages with one event id must say the same. The row keeps 8 bytes of a hash of what was said, so that another
content under the same id is seen, and is no repetition. It is compared within a day, which is the partition, and within
a batch; the order's own hash guards what comes under another day.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, LiteralString

from domain.ids import EventId
from domain.ports.store import Receipt
from domain.values import Value
from outbox.driver.batches import Column, insert, word
from outbox.driver.binary import ARRAYS
from schemas.events import Event

_COLUMNS: Final = (
    Column("day", "date"),
    word("consumer_group"),
    Column("event_id", "uuid"),
    Column("content", "bigint", kind="number"),
)
ENTER: Final = insert("inbox", _COLUMNS).batch
"""An event that was processed before makes it fail; most never were, and this costs two thirds."""
ENTER_AGAIN: Final = insert("inbox", _COLUMNS, "ON CONFLICT DO NOTHING RETURNING event_id, day").batch
_KNOWN: LiteralString = """
    SELECT event_id, day, content FROM inbox WHERE event_id = ANY(%s) AND consumer_group = %s AND day = ANY(%s)"""

Ask = Callable[[Any, Sequence[Any]], Awaitable[list[tuple[Any, ...]]]]
"""Runs a query with its parameters in the transaction; returns its rows."""
Run = Callable[[Any, Sequence[Any]], Awaitable[None]]
"""As Ask, for a statement that returns nothing."""


Key = tuple[int, date]
"""The number of an event's id, for a UUID hashes in Python, and the UTC day of its occurred_at."""


class Entry(Value, frozen=True):
    """An event as the inbox sees it. content: see domain.content."""

    key: Key
    event_id: EventId
    content: int

    @property
    def day(self) -> date:
        """Return the partition."""
        return self.key[1]


def entries_of(events: Sequence[Event], contents: Sequence[int]) -> list[Entry]:
    """Return what the inbox sees of these events."""
    return [
        Entry((event.event_id.int, _day_of(event.occurred_at)), EventId(event.event_id), content)
        for event, content in zip(events, contents, strict=True)
    ]


def _day_of(moment: datetime) -> date:
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).date()


async def receive(
    entries: Sequence[Entry], group: str, oldest: date, *, repeats: bool, ask: Ask, run: Run
) -> list[Receipt]:
    """Write a row for each event that the inbox can remember (of the day oldest or later); say what each event is.

    repeats: expect events that were processed before; without, one of them makes the statement fail.
    """
    first = {entry.key: entry for entry in entries if entry.key[1] >= oldest}
    if len(first) < len(entries):
        # Of several with one id and day the first counts.
        first = {entry.key: entry for entry in reversed(entries) if entry.key[1] >= oldest}
    # Sorted, so that batches with the same events cannot wait for each other in a circle.
    ordered = [first[key] for key in sorted(first)]
    rows = [(entry.key[1], group, entry.event_id, entry.content) for entry in ordered]
    known: dict[Key, int | None] = {}
    if rows and repeats:
        fresh = {(event_id.int, day) for event_id, day in await ask(ENTER_AGAIN.sql, ENTER_AGAIN.arrays(rows))}
        repeated = [entry for key, entry in first.items() if key not in fresh]
        known = await _contents(repeated, group, ask) if repeated else {}
    elif rows:
        await run(ENTER.sql, ENTER.arrays(rows))
    if not known and len(first) == len(entries):
        return [Receipt.NEW] * len(entries)
    return _judge(entries, oldest, known)


async def _contents(repeated: Sequence[Entry], group: str, ask: Ask) -> dict[Key, int | None]:
    """Read what these events said when they were processed. A statement of its own: it must see what others wrote."""
    ids, days = ARRAYS["uuid"]([e.event_id for e in repeated]), ARRAYS["date"](sorted({e.day for e in repeated}))
    found = {(event_id.int, day): content for event_id, day, content in await ask(_KNOWN, [ids, group, days])}
    return {entry.key: found.get(entry.key) for entry in repeated}


def _judge(entries: Sequence[Entry], oldest: date, known: Mapping[Key, int | None]) -> list[Receipt]:
    """Say what each event is, in their order: of several with one id and day the first is what the inbox says."""
    seen = dict(known)
    receipts = []
    for entry in entries:
        if entry.key not in seen:
            seen[entry.key] = entry.content
            receipts.append(Receipt.NEW if entry.day >= oldest else Receipt.TOO_OLD)
        else:
            same = seen[entry.key] in {None, entry.content}
            receipts.append(Receipt.KNOWN if same else Receipt.CONFLICT)
    return receipts
