"""The unit of work: one transaction for a batch, with the same number of statements for every size."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from domain.dead_letter import DeadLetter
from domain.disputing import KnownDispute
from domain.early import EarlyMessage
from domain.errors import Contended
from domain.ids import OperationId, OrderId
from domain.operation import Operation, OperationState
from domain.order import Order
from domain.ports.store import Changes, Entry, Receipt, SetAside
from outbox.driver.batches import Row
from outbox.driver.session import Session
from outbox.journal.quarantined import lately
from outbox.journal.rows import RowEncoder
from outbox.store import dead_letters, early, inbox, quarantine, questions, statements, unseen
from outbox.store.learned import Learned
from outbox.store.loading import Loading
from outbox.store.numbers import draw_block
from outbox.store.parts import Parts
from outbox.store.record import Record
from outbox.store.saving import Decided, note_reviews, record_disputes, record_words, saving_for
from outbox.store.searching import LEFT_FINAL, left_final
from outbox.store.wire import Wire


class PgTransaction:
    """domain.ports.store.Transaction over PostgreSQL. With few orders statements wait for the next question.

    began: the loop's clock before it. oldest: the inbox's first day. repeats: expect events that were processed before.
    If False, such an event makes the transaction lose its race. send_messages: notifications become messages to send.
    """

    def __init__(
        self,
        wire: Wire,
        encoder: RowEncoder,
        learned: Learned,
        *,
        began: float,
        oldest: date,
        contended: bool,
        repeats: bool = True,
        send_messages: bool = False,
    ) -> None:
        self.began = began
        self.contended = contended
        self.now = datetime.min.replace(tzinfo=UTC)
        self.seen = learned.seen
        self.waiting: frozenset[OrderId] = frozenset()
        self.early: Mapping[OrderId, Sequence[EarlyMessage]] = {}
        self._wire = wire
        self._encoder = encoder
        self._learned = learned
        self._loading = Loading(wire, learned.memory)
        self._written: list[Order] = []
        self.record = Record()
        self._oldest = oldest
        self._entering: inbox.Entering | None = None
        self._left_final: datetime | None = None
        self._last: list[Callable[[], Awaitable[None]]] = []
        self._repeats = repeats or contended
        self._send_messages = send_messages

    async def load(
        self,
        order_ids: Sequence[OrderId],
        *,
        waiting: bool = False,
        early: bool = False,
        entry: Entry | None = None,
    ) -> dict[OrderId, Order]:
        """Lock these orders in the order of their ids; return those that exist. early: read what came before them.

        entry: write its rows of the inbox behind the locks.
        """
        behind = None
        if entry is not None:
            self._wire.note_orders(len(set(order_ids)))
            self._entering = self._enter(entry)
            behind = self._entering.statement()
        orders = await self._loading.load(order_ids, waiting=waiting, early=early, behind=behind)
        self.now, self.waiting, self.early = self._loading.now, self._loading.waiting, self._loading.early
        self._learned.seen = self.now
        return orders

    async def hold(self, order_ids: Sequence[OrderId]) -> None:
        """Lock these orders and the quarantine; read which orders wait there, but not the orders."""
        self._wire.begin()
        await self.execute(quarantine.LOCK)
        await self._loading.lock(order_ids, waiting=True)
        self.now, self.waiting = self._loading.now, self._loading.waiting

    async def receive(self, entry: Entry) -> Sequence[Receipt]:
        """Write inbox rows, if load has not. Events from before the inbox's first day get none."""
        entering = self._entering
        if entering is None:
            entering = self._enter(entry)
            statement = entering.statement()
            entered = [] if statement is None else await self._wire.query(*statement)
        elif entering.entry is entry:
            entered = self._loading.answer
        else:
            raise Contended("other events were entered into the inbox than are received")
        return await entering.receipts(entered, self._wire.query)

    def _enter(self, entry: Entry) -> inbox.Entering:
        # With few orders an error comes late, when others may know of the decisions. So avoid it: expect repeats.
        return inbox.Entering(entry, self._oldest, repeats=self._repeats or self._wire.few)

    async def save(self, changes: Changes) -> Sequence[DeadLetter]:
        """Write all changes."""
        if not self._loading.xid:
            await self._loading.begin(len(changes.orders))
            self.now = self._loading.now
        letters = await dead_letters.insert(self._wire, changes.dead_letters) if changes.dead_letters else []
        parts, numbers = Parts(changes.orders), self._loading.numbers
        numbers |= await self._learned.order_numbers.number(parts.new_orders, partial(draw_block, self._wire))
        events = self._event_rows(changes, numbers)
        decided = Decided(parts, numbers, self.now, changes.notifications, events, self._send_messages)
        await saving_for(self._wire, parts).write(decided)
        if letters:
            await dead_letters.append_copies(self._wire, letters, self.now)
        if changes.early or changes.applied:
            await early.write(self._wire, changes.early, changes.applied)
        await record_words(self._wire, changes)
        await record_disputes(self._wire, changes, numbers)
        await note_reviews(self._wire, changes)
        self.record.add_saved(changes, letters)
        self._left_final = left_final(changes.orders, self.now)
        self._written += [change.after for change in changes.orders if change.after is not change.before]
        return letters

    def _event_rows(self, changes: Changes, numbers: Mapping[OrderId, int]) -> list[Row]:
        make, traces = self._encoder.event_row, changes.traces
        if not traces:
            return [make(event, numbers[OrderId(event.order_id)]) for event in changes.events]
        return [make(e, numbers[OrderId(e.order_id)], traces.get(e.event_id.int)) for e in changes.events]

    async def set_aside(self, work: SetAside) -> int | None:
        """Put this work in quarantine."""
        number = await quarantine.set_aside(await self.plain(), work)
        if number is not None:
            self.record.add_aside(work.kind)
        return number

    async def quarantined_lately(self) -> int:
        """Count what came into quarantine in the last ten minutes."""
        return await lately(await self.plain())

    async def states(
        self, operations: Sequence[tuple[OrderId, OperationId]]
    ) -> dict[OperationId, tuple[OperationState, str | None]]:
        """Return state and detail of these operations."""
        return await questions.states(self._wire, operations)

    async def history(self, order_id: OrderId) -> Sequence[Operation]:
        """Return all operations of this order."""
        return await questions.history(self._wire, self._loading.numbers[order_id])

    async def disputes(self, order_id: OrderId) -> Sequence[KnownDispute]:
        """Return the disputes of this order."""
        return await questions.disputes(self._wire, self._loading.numbers[order_id])

    async def unchanged(self, order_ids: Sequence[OrderId], for_s: float) -> set[OrderId]:
        """Return those of these orders that nobody has changed for so long."""
        return await questions.unchanged(self._wire, order_ids, for_s)

    async def look_later(self, numbers: Sequence[int]) -> None:
        """Look at these early messages again later."""
        await self._wire.execute(early.LOOK_LATER, [list(numbers)])

    async def send_again(self, order_ids: Sequence[OrderId]) -> None:
        """Put every event of these orders into the outbox once more."""
        await self._wire.execute(statements.SEND_AGAIN, [list(order_ids)])
        await self._wire.execute(statements.WAKE)

    async def send_unseen(self, group: str, event_type: str) -> int:
        """Put events of this type that the group has not processed into the outbox once more."""
        count = await unseen.send_unseen(await self.plain(), group, self._encoder.topic(event_type), self._oldest)
        await self._wire.execute(statements.WAKE)
        return count

    def at_end(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do this work at the end of the transaction."""
        self._last.append(work)

    async def finish(self) -> None:
        """Do the work that was kept for the end."""
        # Remove it first: it refers to this transaction, and only the garbage collector would free such a cycle.
        works, self._last = self._last, []
        for work in works:
            await work()
        if self._left_final is not None:
            # Last of all: every search and every other such transaction waits for this row.
            await self._wire.execute(LEFT_FINAL, [self._left_final])

    def remember(self) -> None:
        """Remember what was written, now that it is committed."""
        self._learned.memory.keep(self._written, self._loading.xid)

    async def plain(self) -> Session:
        """Return the connection, for statements of others in this transaction. What waits is sent before them."""
        return await self._wire.plain()

    async def execute(self, statement: Any, parameters: Sequence[Any] = ()) -> None:
        """Run a statement of an adapter that shares this transaction."""
        await self._wire.execute(statement, parameters)

    async def query(self, query: Any, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a query of an adapter that shares this transaction; return its rows."""
        return await self._wire.query(query, parameters)
