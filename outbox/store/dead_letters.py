"""Dead letters: messages that cannot be processed, kept whole, and their copies on `<topic>.dlt`.

A body with a payment token is kept twice: as others may read it, and whole (`original`), until the letter is redriven
or given up, or PAYMENTS_DEAD_LETTER_TOKEN_DAYS are over.

The letter counts; the copy informs others. A message has one letter, found by its offset and a hash of its bytes: a
recreated topic repeats its offsets.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, LiteralString

from domain.dead_letter import DeadLetter
from outbox.driver.batches import Row
from outbox.journal.limits import original_headers, storable_text, storable_time
from outbox.journal.rows import dead_letter_row, letter_origin
from outbox.store import statements
from outbox.store.wire import Wire

_INSERT: Final[LiteralString] = """
    INSERT INTO dead_letter (consumer_group, topic, partition, message_offset, origin, message_at, key, body,
                             header_names, header_values, masked, reason, detail, to_offset, event_id, order_id,
                             own_inbox, waits, behind, original, token_hidden)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, true)
    ON CONFLICT (consumer_group, topic, partition, message_offset, origin) DO UPDATE
       SET own_inbox = true, waits = dead_letter.waits OR excluded.waits,
           behind = CASE WHEN dead_letter.waits THEN dead_letter.behind ELSE excluded.behind END
     WHERE excluded.own_inbox AND NOT dead_letter.own_inbox AND dead_letter.redriven_at IS NULL
    RETURNING id, xmax = 0"""
"""A message may come again before its letter is redriven, and get its inbox row only then: perhaps an earlier release
could not read it. Then own_inbox is set; otherwise a redrive would find the message processed. xmax is 0 in a new
row."""


async def insert(wire: Wire, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Write letters in their order; return the new ones, with their numbers."""
    written = await wire.ask(*[(_INSERT, _row(letter)) for letter in letters])
    return [
        replace(letter, number=number)
        for letter, rows in zip(letters, written, strict=True)
        for number, is_new in rows
        if is_new
    ]


async def append_copies(wire: Wire, letters: Sequence[DeadLetter], now: datetime) -> None:
    """Append the letters' copies to the journal and the outbox, for the relay to send."""
    ids = sorted(row[0] for row in await wire.query(statements.ENTER_OUTBOX, [len(letters)]))
    rows = [dead_letter_row(i, letter, now) for i, letter in zip(ids, letters, strict=True)]
    async with wire.together():
        for row in rows:
            await wire.execute(statements.INSERT_LETTER, row)
        await wire.execute(statements.WAKE)


def _row(x: DeadLetter) -> Row:
    headers = original_headers(x)
    return (
        x.group,
        x.topic,
        x.partition,
        x.offset,
        letter_origin(x),
        storable_time(x.timestamp_ms),
        x.key,
        x.body,
        [name for name, _ in headers],
        [value for _, value in headers],
        x.masked,
        x.reason.value,
        storable_text(x.detail),
        x.to_offset,
        x.event_id,
        x.order_id,
        x.own_inbox,
        x.waits,
        x.behind,
        x.original,
    )
