"""The inbox: which events a consumer group has processed, by event id and day, and what they said.

Two messages with one event id must say the same. The row keeps 8 bytes of a hash of what was said, so that another
content under the same id is seen, and is no repetition. It is compared within a day, which is the partition, and within
a batch; the order's own hash guards what comes under another day.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date
from typing import Any, Final, LiteralString
from uuid import UUID

from domain.ports.store import Receipt
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


Row = tuple[date, str, UUID, int]
"""Day, group, event id, and content (see domain.content)."""


def _key_of(event: Event) -> Key:
    moment = event.occurred_at
    return event.event_id.int, (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).date()


async def receive(
    group: str, events: Sequence[Event], contents: Sequence[int], oldest: date, *, repeats: bool, ask: Ask, run: Run
) -> list[Receipt]:
    """Write a row for each event that the inbox can remember (of the day oldest or later); say what each event is.

    repeats: expect events that were processed before; without, one of them makes the statement fail.
    """
    keys = list(map(_key_of, events))
    told = list(zip(keys, events, contents, strict=True))
    rows: dict[Key, Row] = {k: (k[1], group, event.event_id, content) for k, event, content in told if k[1] >= oldest}
    if len(rows) < len(told):
        # Of several with one id and day the first counts.
        rows = {k: (k[1], group, event.event_id, content) for k, event, content in reversed(told) if k[1] >= oldest}
    # Sorted, so that batches with the same events cannot wait for each other in a circle.
    ordered = [rows[key] for key in sorted(rows)]
    known: dict[Key, int | None] = {}
    if ordered and repeats:
        fresh = {(event_id.int, day) for event_id, day in await ask(ENTER_AGAIN.sql, ENTER_AGAIN.arrays(ordered))}
        repeated = {key: row for key, row in rows.items() if key not in fresh}
        known = await _contents(repeated, group, ask) if repeated else {}
    elif ordered:
        await run(ENTER.sql, ENTER.arrays(ordered))
    if not known and len(rows) == len(told):
        return [Receipt.NEW] * len(told)
    return _judge(keys, contents, oldest, known)


async def _contents(repeated: Mapping[Key, Row], group: str, ask: Ask) -> dict[Key, int | None]:
    """Read what these events said when they were processed. A statement of its own: it must see what others wrote."""
    ids, days = [row[2] for row in repeated.values()], sorted({day for _, day in repeated})
    rows = await ask(_KNOWN, [ARRAYS["uuid"](ids), group, ARRAYS["date"](days)])
    found = {(event_id.int, day): content for event_id, day, content in rows}
    return {key: found.get(key) for key in repeated}


def _judge(
    keys: Sequence[Key], contents: Sequence[int], oldest: date, known: Mapping[Key, int | None]
) -> list[Receipt]:
    """Say what each event is, in their order: of several with one id and day the first is what the inbox says."""
    seen = dict(known)
    receipts = []
    for key, content in zip(keys, contents, strict=True):
        if key not in seen:
            seen[key] = content
            receipts.append(Receipt.NEW if key[1] >= oldest else Receipt.TOO_OLD)
        else:
            same = seen[key] in {None, content}
            receipts.append(Receipt.KNOWN if same else Receipt.CONFLICT)
    return receipts
