"""The unit of work: one transaction over a whole batch, a constant number of statements however large it is."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from domain.decision import Notification
from domain.ids import OperationId, OrderId
from domain.operation import OperationState
from domain.order import Operation, Order
from domain.ports.store import Changes, DeadLetter, Receipt, SetAside
from outbox.driver.batches import COPY_FROM, Row
from outbox.driver.binary import ARRAYS
from outbox.journal import Journal, dead_letter_row
from outbox.schema.mapping import ATTEMPTS, HOLDS, OPERATIONS, ORDERS
from outbox.store import dead_letters, inbox, quarantine, questions, statements, unseen
from outbox.store.memory import OrderMemory
from outbox.store.numbers import OrderNumbers
from outbox.store.parts import Parts
from outbox.store.searching import LEFT_FINAL, left_final
from outbox.store.wire import Wire
from schemas.events import Event

CHANNEL: Final = "payments_outbox"
"""Where the relay listens; one notification a transaction, never one a message (NOTIFY takes a global lock)."""

_APPLY_PASSED: Final = "UPDATE passed_stretch SET applied_at = now() WHERE id = ANY(%s) AND applied_at IS NULL"


class PgTransaction:
    """domain.ports.store.Transaction over PostgreSQL. Of few orders all statements are sent in one pipeline.

    began: the running loop's clock before it. oldest: first day the inbox knows. repeats: expect events that were
    processed before; without, one of them makes the transaction lose its race.
    """

    def __init__(
        self,
        wire: Wire,
        journal: Journal,
        memory: OrderMemory,
        order_numbers: OrderNumbers,
        *,
        began: float,
        oldest: date,
        contended: bool,
        repeats: bool = True,
    ) -> None:
        self.connection = wire.connection
        self.began = began
        self.contended = contended
        self.now = datetime.min.replace(tzinfo=UTC)
        self.waiting: frozenset[OrderId] = frozenset()
        self._wire = wire
        self._journal = journal
        self._memory = memory
        self._order_numbers = order_numbers
        self._xid = b""
        self._written: list[Order] = []
        self._numbers: dict[OrderId, int] = {}
        self._oldest = oldest
        self._left_final: datetime | None = None
        self._last: list[Callable[[], Awaitable[None]]] = []
        self._repeats = repeats or contended

    async def _begin(
        self, order_ids: Sequence[OrderId], *, waiting: bool = False, orders: int | None = None
    ) -> list[tuple[OrderId, bytes]]:
        """Read the clock, once, and the id that this transaction's rows will bear; lock orders.

        waiting: see which of them wait in quarantine. The statement that waited for the locks does not see what their
        last holder wrote; one sent behind it does. orders: of how many orders the transaction is, if not of these.
        """
        if not self._xid:
            await self._wire.pipeline_if_few(len(order_ids) if orders is None else orders)
        ids = ARRAYS["text"](order_ids)
        seeing = ((quarantine.WAITING, [ids, ids]),) if waiting else ()
        found, *seen = await self._wire.ask((statements.BEGIN, [ids]), *seeing)
        if waiting:
            self.waiting = frozenset(OrderId(row[0]) for row in seen[0])
        self.now, self._xid = found[0][:2]
        self._numbers = {row[2]: row[3] for row in found[1:]}
        return [(row[2], row[4]) for row in found[1:]]

    async def hold(self, order_ids: Sequence[OrderId]) -> None:
        """Lock these orders and see which wait in quarantine, with the right to put something there; read none."""
        await self._wire.begin()
        await self.execute(quarantine.LOCK)
        await self._begin(sorted(set(order_ids)), waiting=True)

    async def load(self, order_ids: Sequence[OrderId], *, waiting: bool = False) -> dict[OrderId, Order]:
        """Lock these orders in the order of their ids; return those that exist."""
        found = await self._begin(sorted(set(order_ids)), waiting=waiting)
        orders: dict[OrderId, Order] = {}
        unknown: list[OrderId] = []
        for order_id, xmin in found:
            order = self._memory.recall(order_id, xmin, self.now)
            if order is None:
                unknown.append(order_id)
            else:
                orders[order_id] = order
        return orders | await self._read(unknown) if unknown else orders

    async def _read(self, order_ids: Sequence[OrderId]) -> dict[OrderId, Order]:
        """Read aggregates whose orders are locked."""
        numbers = ARRAYS["number"]([self._numbers[order_id] for order_id in order_ids])
        found, attempt_rows, hold_rows, operation_rows = await self._wire.ask(
            (statements.LOAD_ORDERS, [ARRAYS["text"](order_ids)]),
            (statements.LOAD_ATTEMPTS, [numbers]),
            (statements.LOAD_HOLDS, [numbers]),
            (statements.LOAD_OPERATIONS, [numbers]),
        )
        attempts, holds = ATTEMPTS.by_order(attempt_rows), HOLDS.by_order(hold_rows)
        unfinished = OPERATIONS.by_order(operation_rows)
        parts = (
            (row, tuple(attempts.get(i, ())), tuple(holds.get(i, ())), tuple(unfinished.get(i, ())))
            for row in found
            for i in row[:1]
        )
        return {row[0]: ORDERS.load(row, *of_it) for row, *of_it in parts}

    async def receive(self, group: str, events: Sequence[Event], contents: Sequence[int]) -> Sequence[Receipt]:
        """Write inbox rows; what is older than the inbox remembers gets none."""
        # In a pipeline a failure is told late, and what was decided by then may have been told to others.
        repeats = self._repeats or self._wire.pipelined
        return await inbox.receive(
            group, events, contents, self._oldest, repeats=repeats, ask=self._wire.query, run=self._wire.execute
        )

    async def save(self, changes: Changes) -> Sequence[DeadLetter]:
        """Write all changes. Operations are closed before others are opened: an order has one unfinished at a time."""
        if not self._xid:
            await self._begin([], orders=len(changes.orders))
        letters = await dead_letters.insert(self.connection, changes.dead_letters) if changes.dead_letters else []
        parts = Parts(changes.orders)
        await self._number(parts.new_orders)
        numbers = self._numbers
        events = [self._journal.event_row(event, numbers[OrderId(event.order_id)]) for event in changes.events]
        if self._wire.pipelined or parts.largest < COPY_FROM:
            await self._save_few(parts, changes.notifications, events)
        else:
            await self._save_many(parts, changes.notifications, events)
        if letters:
            await self._append_letters(letters)
        for said in changes.resolutions:
            values = (said.order_id, said.review_reason, said.word, said.reference, said.reason, said.by)
            await self._wire.execute(statements.INSERT_RESOLUTION, values)
        if changes.passed:
            await self._wire.execute(_APPLY_PASSED, [changes.passed])
        self._left_final = left_final(changes.orders, self.now)
        self._written += [change.after for change in changes.orders if change.after is not change.before]
        return letters

    async def set_aside(self, work: SetAside) -> int | None:
        """Put this work in quarantine."""
        return await quarantine.set_aside(self.connection, work)

    async def quarantined_lately(self) -> int:
        """Count what came into quarantine in the last ten minutes."""
        return await quarantine.lately(self.connection)

    async def states(self, operations: Sequence[tuple[OrderId, OperationId]]) -> dict[OperationId, OperationState]:
        """Return the states of these operations."""
        order_ids, ids = [list(column) for column in zip(*operations, strict=True)]
        found = await self.query(statements.OPERATION_STATES, [order_ids, ids])
        return {OperationId(row[0]): OperationState(row[1]) for row in found}

    async def history(self, order_id: OrderId) -> Sequence[Operation]:
        """Return all operations of this order."""
        found = await self.query(statements.HISTORY, [self._numbers[order_id]])
        return [OPERATIONS.load(row) for row in found]

    async def unchanged(self, order_ids: Sequence[OrderId], for_s: float) -> set[OrderId]:
        """Return those of these orders that nobody has changed for so long."""
        found = await self.query(questions.UNCHANGED_ORDERS, [list(order_ids), for_s])
        return {OrderId(row[0]) for row in found}

    async def send_again(self, order_ids: Sequence[OrderId]) -> None:
        """Put every event of these orders into the outbox once more."""
        await self._wire.execute(statements.SEND_AGAIN, [list(order_ids)])
        await self._wire.execute(f"NOTIFY {CHANNEL}")

    async def send_unseen(self, group: str, event_type: str) -> int:
        """Put what this group has not processed of these events into the outbox once more."""
        count = await unseen.send_unseen(self.connection, group, self._journal.topic(event_type), self._oldest)
        await self._wire.execute(f"NOTIFY {CHANNEL}")
        return count

    def at_end(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have this done last."""
        self._last.append(work)

    async def finish(self) -> None:
        """Do what was kept for the end."""
        # Nothing is kept: an adapter's work refers to this transaction, a circle that only the collector would end.
        works, self._last = self._last, []
        for work in works:
            await work()
        if self._left_final is not None:
            # Last of all, for every search and every other such transaction waits for this row.
            await self._wire.execute(LEFT_FINAL, [self._left_final])

    def remember(self) -> None:
        """Keep what was written in mind, now that it has committed."""
        self._memory.keep(self._written, self._xid)

    async def execute(self, statement: Any, parameters: Sequence[Any] = ()) -> None:
        """Run a statement of an adapter that shares this transaction."""
        await self._wire.execute(statement, parameters)

    async def query(self, query: Any, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a query of an adapter that shares this transaction; return its rows."""
        return await self._wire.query(query, parameters)

    async def _save_few(self, parts: Parts, notifications: Sequence[Notification], events: Sequence[Row]) -> None:
        """Write everything in one round trip."""
        async with self._wire.together():
            await self._update(parts, notifications)
            for insert, insert_rows in parts.inserts(self._numbers, self.now):
                await self._wire.run(insert.batch, insert_rows)
            await self._wire.run(statements.APPEND_EVENTS, events)

    async def _save_many(self, parts: Parts, notifications: Sequence[Notification], events: Sequence[Row]) -> None:
        """Update in one round trip, then copy, which cannot be in a pipeline."""
        drawing = self._wire.cursor()
        async with self.connection.pipeline():
            await self._update(parts, notifications)
            await drawing.execute(statements.ENTER_OUTBOX, [len(events)])
            if events:
                await self._wire.execute(f"NOTIFY {CHANNEL}")
        ids = sorted(row[0] for row in await drawing.fetchall())
        numbered = [(i, *row) for i, row in zip(ids, events, strict=True)]
        for insert, insert_rows in (*parts.inserts(self._numbers, self.now), (statements.COPY_EVENTS, numbered)):
            if insert_rows:
                await self._wire.copy(insert.copy, insert.body(insert_rows))

    async def _update(self, parts: Parts, notifications: Sequence[Notification]) -> None:
        for batch, batch_rows in parts.updates(self._numbers, self.now):
            await self._wire.run(batch, batch_rows)
        await self._wire.run(statements.INSERT_NOTIFICATIONS.batch, [_notification_row(n) for n in notifications])

    async def _number(self, orders: Sequence[Order]) -> None:
        """Give new orders their numbers."""
        if orders:
            drawn = await self._order_numbers.take(len(orders), self._draw_order_numbers)
            self._numbers |= zip((order.order_id for order in orders), drawn, strict=True)

    async def _draw_order_numbers(self) -> int:
        cursor = await self._wire.cursor().execute(statements.DRAW_ORDER_NUMBERS)
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])

    async def _enter_outbox(self, count: int) -> list[int]:
        return sorted(row[0] for row in await self._wire.query(statements.ENTER_OUTBOX, [count]))

    async def _append_letters(self, letters: Sequence[DeadLetter]) -> None:
        ids = await self._enter_outbox(len(letters))
        letter_rows = [dead_letter_row(i, x, self.now) for i, x in zip(ids, letters, strict=True)]
        await self._wire.cursor().executemany(statements.INSERT_LETTER, letter_rows)
        await self._wire.execute(f"NOTIFY {CHANNEL}")


def _notification_row(n: Notification) -> Row:
    return (n.key, n.order_id, n.customer_id, n.kind, n.text, n.occurred_at, n.stale)
