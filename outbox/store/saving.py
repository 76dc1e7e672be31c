"""Two ways to write the decisions of a transaction: few orders in one round trip, many by COPY."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from domain.decision import Notification
from domain.ids import OrderId
from domain.order import Status
from domain.ports.store import Changes
from outbox.driver.batches import COPY_FROM, Row
from outbox.schema.mapping import DISPUTES
from outbox.store import statements
from outbox.store.messages import INSERT_MESSAGES, message_row
from outbox.store.parts import Parts
from outbox.store.wire import Wire


class Decided(NamedTuple):
    """What to write. events: rows of the journal without their ids. send: notifications become messages to send."""

    parts: Parts
    numbers: Mapping[OrderId, int]
    now: datetime
    notifications: Sequence[Notification]
    events: Sequence[Row]
    send: bool = False


class Saving(Protocol):
    """Closes operations before it opens others: an order has one unfinished operation at a time."""

    async def write(self, decided: Decided) -> None:
        """Write everything, and wake the relay if there are events."""
        ...


class OneRoundTrip:
    """Sends everything as arrays, in one round trip."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def write(self, decided: Decided) -> None:
        """Update, insert, append."""
        async with self._wire.together():
            await _update(self._wire, decided)
            for insert, rows in decided.parts.inserts(decided.numbers, decided.now):
                await self._wire.run(insert.batch, rows)
            await self._wire.run(statements.APPEND_EVENTS, decided.events)


class Copying:
    """Sends changes as arrays in one round trip, then new rows by COPY, which cannot be in a pipeline."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def write(self, decided: Decided) -> None:
        """Update and draw ids, then copy."""
        async with self._wire.together():
            await _update(self._wire, decided)
            drawing = self._wire.later(statements.ENTER_OUTBOX, [len(decided.events)])
            if decided.events:
                await self._wire.execute(statements.WAKE)
        ids = sorted(row[0] for row in drawing.rows)
        events = [(i, *row) for i, row in zip(ids, decided.events, strict=True)]
        inserts = decided.parts.inserts(decided.numbers, decided.now)
        for insert, rows in (*inserts, (statements.COPY_EVENTS, events)):
            if rows:
                await self._wire.copy(insert.copy, insert.body(rows))


def saving_for(wire: Wire, parts: Parts) -> Saving:
    """Choose. A COPY has round trips of its own; for few rows it costs more than it saves."""
    return OneRoundTrip(wire) if wire.few or parts.largest < COPY_FROM else Copying(wire)


async def record_words(wire: Wire, changes: Changes) -> None:
    """Record the words of operators."""
    for word in changes.resolutions:
        values = (word.order_id, word.review_reason, word.word, word.reference, word.reason, word.by)
        await wire.execute(statements.INSERT_RESOLUTION, values)
    if changes.passed:
        await wire.execute(statements.APPLY_PASSED, [changes.passed])


async def record_disputes(wire: Wire, changes: Changes, numbers: Mapping[OrderId, int]) -> None:
    """Write disputes as they are now. One that is decided on twice in a transaction is written as it was last."""
    last = {(order_id, dispute.dispute_id): dispute for order_id, dispute in changes.disputes}
    rows = [DISPUTES.row(dispute, numbers[order_id], order_id) for (order_id, _), dispute in last.items()]
    await wire.run(statements.KEEP_DISPUTES, rows)


async def note_reviews(wire: Wire, changes: Changes) -> None:
    """Note the orders that come under review, so that open reviews are found without an index on the status."""
    came = [
        change.after.order_id
        for change in changes.orders
        if change.after.status is Status.MANUAL_REVIEW
        and (change.before is None or change.before.status is not Status.MANUAL_REVIEW)
    ]
    if came:
        await wire.execute(statements.NOTE_REVIEWS, [came])


async def _update(wire: Wire, decided: Decided) -> None:
    for batch, rows in decided.parts.updates(decided.numbers, decided.now):
        await wire.run(batch, rows)
    await wire.run(statements.INSERT_NOTIFICATIONS.batch, [_notification_row(n) for n in decided.notifications])
    if decided.send:
        await wire.run(INSERT_MESSAGES, [message_row(n) for n in decided.notifications if not n.stale])


def _notification_row(n: Notification) -> Row:
    return (n.key, n.order_id, n.customer_id, n.kind, n.text, n.occurred_at, n.stale)
