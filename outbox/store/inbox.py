"""The inbox: which events a consumer group has processed, by event id and day, and a hash of their content.

Two messages with the same event id must have the same content. The row keeps 8 bytes of a hash, to tell a conflict from
a repetition. Hashes are compared within a day (the partition) and within a batch. For other days the order's own hash
does this.
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
"""Fails if an event is there already. Most are not, and this costs two thirds of ENTER_AGAIN."""
ENTER_AGAIN: Final = insert("inbox", _COLUMNS, "ON CONFLICT DO NOTHING RETURNING event_id, day").batch
_KNOWN: LiteralString = """
    SELECT event_id, day, content FROM inbox WHERE event_id = ANY(%s) AND consumer_group = %s AND day = ANY(%s)"""

Ask = Callable[[Any, Sequence[Any]], Awaitable[list[tuple[Any, ...]]]]
"""Runs a query with its parameters in the transaction; returns its rows."""
Run = Callable[[Any, Sequence[Any]], Awaitable[None]]
"""As Ask, for a statement that returns nothing."""


Key = tuple[int, date]
"""The event's id as a number (hashing a UUID is slow), and the UTC day of its occurred_at."""


Row = tuple[date, str, UUID, int]
"""Day, group, event id, and content (see domain.content)."""


def _key_of(event: Event) -> Key:
    moment = event.occurred_at
    return event.event_id.int, (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).date()


async def receive(
    group: str, events: Sequence[Event], contents: Sequence[int], oldest: date, *, repeats: bool, ask: Ask, run: Run
) -> list[Receipt]:
    """Write a row for each event of the day `oldest` or later; return what each event is.

    repeats: expect events that were processed before. If False, such an event makes the statement fail.
    """
    keys = list(map(_key_of, events))
    keyed = list(zip(keys, events, contents, strict=True))
    rows: dict[Key, Row] = {k: (k[1], group, event.event_id, content) for k, event, content in keyed if k[1] >= oldest}
    if len(rows) < len(keyed):
        # Of several with the same id and day the first counts.
        rows = {k: (k[1], group, event.event_id, content) for k, event, content in reversed(keyed) if k[1] >= oldest}
    # Sorted, so that batches with the same events cannot deadlock.
    ordered = [rows[key] for key in sorted(rows)]
    known: dict[Key, int | None] = {}
    if ordered and repeats:
        fresh = {(event_id.int, day) for event_id, day in await ask(ENTER_AGAIN.sql, ENTER_AGAIN.arrays(ordered))}
        repeated = {key: row for key, row in rows.items() if key not in fresh}
        known = await _contents(repeated, group, ask) if repeated else {}
    elif ordered:
        await run(ENTER.sql, ENTER.arrays(ordered))
    if not known and len(rows) == len(keyed):
        return [Receipt.NEW] * len(keyed)
    return _judge(keys, contents, oldest, known)


async def _contents(repeated: Mapping[Key, Row], group: str, ask: Ask) -> dict[Key, int | None]:
    """Read the content of these events when they were processed. A new statement, which sees what others wrote."""
    ids, days = [row[2] for row in repeated.values()], sorted({day for _, day in repeated})
    rows = await ask(_KNOWN, [ARRAYS["uuid"](ids), group, ARRAYS["date"](days)])
    found = {(event_id.int, day): content for event_id, day, content in rows}
    return {key: found.get(key) for key in repeated}


def _judge(
    keys: Sequence[Key], contents: Sequence[int], oldest: date, known: Mapping[Key, int | None]
) -> list[Receipt]:
    """Return what each event is. Of several with the same id and day the first one counts as the inbox's."""
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
