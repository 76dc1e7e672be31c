"""The inbox: which events a consumer group has processed, by event id and day, and a hash of their content.

Two messages with the same event id must have the same content. The row keeps 8 bytes of a hash, to tell a conflict from
a repetition. Hashes are compared within a day (the partition) and within a batch. For other days the order's own hash
does this.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date
from typing import Any, Final, LiteralString
from uuid import UUID

from domain.ports.store import Entry, Receipt
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

Question = tuple[LiteralString, Sequence[Any]]
"""A statement and its parameters."""
Ask = Callable[[Any, Sequence[Any]], Awaitable[list[tuple[Any, ...]]]]
"""Runs a query with its parameters in the transaction; returns its rows."""

Key = tuple[int, date]
"""The event's id as a number (hashing a UUID is slow), and the UTC day of its occurred_at."""


Row = tuple[date, str, UUID, int]
"""Day, group, event id, and content (see domain.content)."""


def _key_of(event: Event) -> Key:
    moment = event.occurred_at
    return event.event_id.int, (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).date()


class Entering:
    """The rows of one entry: those of the day `oldest` or later.

    repeats: expect events that were processed before. If False, such an event makes the statement fail.
    """

    def __init__(self, entry: Entry, oldest: date, *, repeats: bool) -> None:
        self.entry = entry
        self._oldest = oldest
        self._repeats = repeats
        group, events, contents = entry
        self._keys = list(map(_key_of, events))
        keyed = list(zip(self._keys, events, contents, strict=True))
        # The last one stays, so turned round: of several with the same id and day the first counts.
        self._rows: dict[Key, Row] = {
            key: (key[1], group, event.event_id, content) for key, event, content in reversed(keyed) if key[1] >= oldest
        }

    def statement(self) -> Question | None:
        """Return the statement that writes the rows; None if there are none."""
        if not self._rows:
            return None
        enter = ENTER_AGAIN if self._repeats else ENTER
        # Sorted, so that batches with the same events cannot deadlock.
        return enter.sql, enter.arrays([self._rows[key] for key in sorted(self._rows)])

    async def receipts(self, entered: Sequence[tuple[Any, ...]], ask: Ask) -> list[Receipt]:
        """Return what each event is. entered: what the statement returned."""
        known: dict[Key, int | None] = {}
        if self._repeats and len(entered) < len(self._rows):
            fresh = {(event_id.int, day) for event_id, day in entered}
            repeated = {key: row for key, row in self._rows.items() if key not in fresh}
            known = await _contents(repeated, self.entry.group, ask)
        if not known and len(self._rows) == len(self._keys):
            return [Receipt.NEW] * len(self._keys)
        return _judge(self._keys, self.entry.contents, self._oldest, known)


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
