"""The unit of work: one transaction over a whole batch, a constant number of statements however large it is."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg

from domain.decision import Notification
from domain.ids import EventId, OperationId, OrderId
from domain.operation import OperationState
from domain.order import Attempt, Hold, Operation, Order
from domain.ports.store import Change, Changes, DeadLetter, Received
from outbox import rows, statements
from outbox.binary import ARRAYS, copy_rows
from outbox.journal import Journal, dead_letter_row
from outbox.rows import Row
from outbox.statements import Batch
from schemas.events import Event

CHANNEL: Final = "payments_outbox"
"""Where the relay listens; one notification a transaction, never one a message (NOTIFY takes a global lock)."""

_INSERT_DEAD_LETTERS: Final = """
    INSERT INTO dead_letter (consumer_group, topic, partition, message_offset, message_at, key, body, header_names,
                             header_values, masked, reason, detail)
    VALUES (%s, %s, %s, %s, to_timestamp(%s / 1000.0), %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING RETURNING message_offset"""


class PgTransaction:
    """domain.ports.store.Transaction over a psycopg connection in a transaction. oldest: first day the inbox knows."""

    def __init__(
        self, connection: psycopg.AsyncConnection[Any], journal: Journal, *, oldest: date, contended: bool
    ) -> None:
        self.connection = connection
        self.contended = contended
        self.now = datetime.min.replace(tzinfo=UTC)
        self._journal = journal
        self._oldest = oldest
        self._last: list[Callable[[], Awaitable[None]]] = []
        self._cursor = connection.cursor(binary=True)

    async def begin(self) -> None:
        """Read the clock, once."""
        await self._cursor.execute("SELECT now()")
        ((self.now,),) = await self._cursor.fetchall()

    async def load(self, order_ids: Sequence[OrderId]) -> dict[OrderId, Order]:
        """Lock these orders in the order of their ids; return those that exist."""
        ids = sorted(set(order_ids))
        found = await self._fetch(statements.LOAD_ORDERS, ids)
        if not found:
            return {}
        ids = [row[0] for row in found]
        attempts = rows.group_by_order(await self._fetch(statements.LOAD_ATTEMPTS, ids), rows.attempt_from)
        holds = rows.group_by_order(await self._fetch(statements.LOAD_HOLDS, ids), rows.hold_from)
        unfinished = rows.group_by_order(
            await self._fetch(statements.LOAD_OPERATIONS, ids), rows.operation_from, position=1
        )
        return {
            row[0]: rows.order_from(row, attempts.get(row[0], []), holds.get(row[0], []), unfinished.get(row[0], []))
            for row in found
        }

    async def receive(self, group: str, events: Sequence[Event]) -> Received:
        """Write inbox rows; what is older than the inbox remembers gets none."""
        days = {event.event_id: event.occurred_at.astimezone(UTC).date() for event in events}
        too_old = frozenset(EventId(event_id) for event_id, day in days.items() if day < self._oldest)
        inbox_rows = sorted((day, group, event_id) for event_id, day in days.items() if event_id not in too_old)
        if not inbox_rows:
            return Received(frozenset(), too_old)
        await self._run(statements.INSERT_INBOX, inbox_rows)
        fresh = frozenset(EventId(row[0]) for row in await self._cursor.fetchall())
        return Received(fresh, too_old)

    async def save(self, changes: Changes) -> None:
        """Write all changes. Operations are closed before others are opened: an order has one unfinished at a time."""
        await self._save_orders(changes.orders)
        await self._save_parts(changes.orders)
        if changes.notifications:
            await self._run(statements.INSERT_NOTIFICATIONS, [_notification_row(n) for n in changes.notifications])
        letters = await self._save_dead_letters(changes.dead_letters)
        await self._append(changes, letters)

    async def states(self, operations: Sequence[OperationId]) -> dict[OperationId, OperationState]:
        """Return the states of these operations."""
        found = await self.execute(statements.OPERATION_STATES, [list(operations)])
        return {OperationId(row[0]): OperationState(row[1]) for row in found}

    async def send_again(self, order_ids: Sequence[OrderId]) -> None:
        """Put every event of these orders into the outbox once more."""
        await self._cursor.execute(statements.SEND_AGAIN, [list(order_ids)])
        await self._cursor.execute(f"NOTIFY {CHANNEL}")

    def at_end(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have this done last."""
        self._last.append(work)

    async def finish(self) -> None:
        """Do what was kept for the end."""
        for work in self._last:
            await work()

    async def execute(self, query: Any, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement of an adapter that shares this transaction; return its rows."""
        await self._cursor.execute(query, parameters)
        return await self._cursor.fetchall() if self._cursor.description else []

    async def _fetch(self, query: Any, ids: Sequence[str]) -> list[Row]:
        await self._cursor.execute(query, [ARRAYS["text"](ids)])
        return await self._cursor.fetchall()

    async def _run(self, batch: Batch, batch_rows: Sequence[Row]) -> None:
        if batch_rows:
            await self._cursor.execute(batch.sql, batch.arrays(batch_rows))

    async def _copy(self, query: LiteralString, body: bytes) -> None:
        async with self._cursor.copy(query) as copy:
            await copy.write(body)

    async def _save_orders(self, changes: Sequence[Change]) -> None:
        new = sorted((c.after for c in changes if c.before is None), key=lambda order: order.order_id)
        old = [c.after for c in changes if c.before is not None and c.after is not c.before]
        await self._run(
            statements.INSERT_ORDERS,
            [(o.order_id, *rows.order_fixed(o), *rows.order_state(o, self.now)) for o in new],
        )
        await self._run(statements.UPDATE_ORDERS, [(o.order_id, *rows.order_state(o, self.now)) for o in old])

    async def _save_parts(self, changes: Sequence[Change]) -> None:
        parts = _Parts()
        for change in changes:
            parts.add(change)
        await self._run(
            statements.UPDATE_OPERATIONS, [(o.operation_id, *rows.operation_state(o)) for o in parts.closed]
        )
        await self._run(
            statements.INSERT_OPERATIONS,
            [(o.operation_id, *rows.operation_fixed(o), *rows.operation_state(o)) for o in parts.opened],
        )
        await self._run(statements.INSERT_ATTEMPTS, [rows.attempt_row(i, a) for i, a in parts.new_attempts])
        await self._run(statements.UPDATE_ATTEMPTS, [rows.attempt_row(i, a) for i, a in parts.old_attempts])
        await self._run(
            statements.INSERT_HOLDS,
            [(h.reservation_id, i, h.attempt, *rows.hold_state(h)) for i, h in parts.new_holds],
        )
        await self._run(statements.UPDATE_HOLDS, [(h.reservation_id, *rows.hold_state(h)) for _, h in parts.old_holds])

    async def _save_dead_letters(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        if not letters:
            return []
        fresh: list[DeadLetter] = []
        await self._cursor.executemany(_INSERT_DEAD_LETTERS, [_letter_row(x) for x in letters], returning=True)
        for letter in letters:
            if await self._cursor.fetchone() is not None:
                fresh.append(letter)
            self._cursor.nextset()
        return fresh

    async def _append(self, changes: Changes, letters: Sequence[DeadLetter]) -> None:
        count = len(changes.events) + len(letters)
        if count == 0:
            return
        await self._cursor.execute(statements.DRAW_IDS, [count])
        ids = sorted(row[0] for row in await self._cursor.fetchall())
        event_rows = [self._journal.event_row(i, e) for i, e in zip(ids, changes.events, strict=False)]
        letter_ids = ids[len(changes.events) :]
        event_rows += [dead_letter_row(i, x, self.now) for i, x in zip(letter_ids, letters, strict=True)]
        await self._copy(statements.COPY_EVENTS, copy_rows(statements.EVENT_WRITERS, event_rows))
        await self._copy(statements.COPY_OUTBOX, copy_rows(statements.OUTBOX_WRITERS, [(i,) for i in ids]))
        await self._cursor.execute(f"NOTIFY {CHANNEL}")


class _Parts:
    """What differs between orders as loaded and as decided. Values are frozen, so identity tells."""

    def __init__(self) -> None:
        self.closed: list[Operation] = []
        self.opened: list[Operation] = []
        self.new_attempts: list[tuple[OrderId, Attempt]] = []
        self.old_attempts: list[tuple[OrderId, Attempt]] = []
        self.new_holds: list[tuple[OrderId, Hold]] = []
        self.old_holds: list[tuple[OrderId, Hold]] = []

    def add(self, change: Change) -> None:
        """Sort the parts of one order."""
        before, after = change
        known = {o.operation_id: o for o in before.operations} if before else {}
        for operation in after.operations:
            old = known.get(operation.operation_id)
            if old is None:
                self.opened.append(operation)
            elif old is not operation:
                self.closed.append(operation)
        order_id = after.order_id
        attempts = before.attempts if before else ()
        for number, attempt in enumerate(after.attempts):
            if number >= len(attempts):
                self.new_attempts.append((order_id, attempt))
            elif attempts[number] is not attempt:
                self.old_attempts.append((order_id, attempt))
        holds: dict[UUID, Hold] = {h.reservation_id: h for h in before.holds} if before else {}
        for hold in after.holds:
            old_hold = holds.get(hold.reservation_id)
            if old_hold is None:
                self.new_holds.append((order_id, hold))
            elif old_hold is not hold:
                self.old_holds.append((order_id, hold))


def _notification_row(n: Notification) -> Row:
    return (n.key, n.order_id, n.customer_id, n.kind, n.text, n.occurred_at, n.stale)


def _letter_row(x: DeadLetter) -> Row:
    return (
        x.group,
        x.topic,
        x.partition,
        x.offset,
        x.timestamp_ms,
        x.key,
        x.body,
        [name for name, _ in x.headers],
        [value for _, value in x.headers],
        x.masked,
        x.reason.value,
        x.detail,
    )
