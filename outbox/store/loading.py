"""Locks orders, and reads those that this process does not remember."""

from collections.abc import Sequence
from datetime import UTC, datetime

from domain.early import EarlyMessage
from domain.ids import OrderId
from domain.order import Order
from domain.requests import Request
from outbox.driver.batches import Row
from outbox.driver.binary import ARRAYS
from outbox.schema.mapping import ATTEMPTS, HOLDS, OPERATIONS, ORDERS, REQUESTS
from outbox.store import quarantine, statements
from outbox.store.early import OF_ORDERS, by_order
from outbox.store.inbox import Question
from outbox.store.memory import OrderMemory
from outbox.store.wire import Wire


class Loading:
    """The orders that a transaction has locked.

    now: the database's clock. xid: the transaction's id, the xmin of its rows; empty before it has begun. numbers: by
    these the rows of an order are found. waiting: the orders in quarantine, if that was asked. answer: of the statement
    that was sent behind the locks.
    """

    def __init__(self, wire: Wire, memory: OrderMemory) -> None:
        self.now = datetime.min.replace(tzinfo=UTC)
        self.xid = b""
        self.numbers: dict[OrderId, int] = {}
        self.waiting: frozenset[OrderId] = frozenset()
        self.early: dict[OrderId, list[EarlyMessage]] = {}
        self.answer: list[Row] = []
        self._wire = wire
        self._memory = memory

    async def begin(self, orders: int) -> None:
        """Begin a transaction of so many new orders: none is locked."""
        self._wire.note_orders(orders)
        await self._lock([], waiting=False)

    async def lock(
        self, order_ids: Sequence[OrderId], *, waiting: bool, early: bool = False, behind: Question | None = None
    ) -> list[tuple[OrderId, bytes]]:
        """Lock orders in the order of their ids; return the id and the xmin of each that exists.

        waiting: also read which of them wait in quarantine, in a second statement: the one that waited for the locks
        does not see what their last holder wrote. behind: sent with the locks, and run once they are held.
        """
        ordered = sorted(set(order_ids))
        if not self.xid:
            self._wire.note_orders(len(ordered))
        return await self._lock(ordered, waiting=waiting, early=early, behind=behind)

    async def load(
        self, order_ids: Sequence[OrderId], *, waiting: bool, early: bool = False, behind: Question | None = None
    ) -> dict[OrderId, Order]:
        """Lock these orders; return those that exist. early: also read what came before them. behind: as for lock."""
        orders: dict[OrderId, Order] = {}
        unknown: list[OrderId] = []
        for order_id, xmin in await self.lock(order_ids, waiting=waiting, early=early, behind=behind):
            order = self._memory.recall(order_id, xmin, self.now)
            if order is None:
                unknown.append(order_id)
            else:
                orders[order_id] = order
        return orders | await self.read(unknown) if unknown else orders

    async def read(self, order_ids: Sequence[OrderId]) -> dict[OrderId, Order]:
        """Read locked orders with their parts."""
        numbers = ARRAYS["number"]([self.numbers[order_id] for order_id in order_ids])
        found, attempt_rows, hold_rows, operation_rows = await self._wire.ask(
            (statements.LOAD_ORDERS, [ARRAYS["text"](order_ids)]),
            (statements.LOAD_ATTEMPTS, [numbers]),
            (statements.LOAD_HOLDS, [numbers]),
            (statements.LOAD_OPERATIONS, [numbers]),
        )
        attempts, holds = ATTEMPTS.by_order(attempt_rows), HOLDS.by_order(hold_rows)
        unfinished = OPERATIONS.by_order(operation_rows)
        # Few orders have requests: the others cost no statement more.
        asked = await self._requests([OrderId(row[0]) for row in found if row[-1]])
        parts = (
            (row, tuple(attempts.get(i, ())), tuple(holds.get(i, ())), tuple(unfinished.get(i, ())), asked.get(i, ()))
            for row in found
            for i in row[:1]
        )
        return {row[0]: ORDERS.load(row, *of_it) for row, *of_it in parts}

    async def _requests(self, order_ids: Sequence[OrderId]) -> dict[OrderId, tuple[Request, ...]]:
        if not order_ids:
            return {}
        numbers = ARRAYS["number"]([self.numbers[order_id] for order_id in order_ids])
        (rows,) = await self._wire.ask((statements.LOAD_REQUESTS, [numbers]))
        return {OrderId(i): tuple(requests) for i, requests in REQUESTS.by_order(rows).items()}

    async def _lock(
        self, order_ids: Sequence[OrderId], *, waiting: bool, early: bool = False, behind: Question | None = None
    ) -> list[tuple[OrderId, bytes]]:
        ids = ARRAYS["text"](order_ids)
        looking = ((OF_ORDERS, [ids]),) if early else ()
        seeing = ((quarantine.WAITING, [ids, ids]),) if waiting else ()
        last = () if behind is None else (behind,)
        found, *seen = await self._wire.ask((statements.BEGIN, [ids]), *looking, *seeing, *last)
        if behind is not None:
            self.answer = seen.pop()
        if early:
            self.early = by_order(seen[0])
        if waiting:
            self.waiting = frozenset(OrderId(row[0]) for row in seen[-1])
        self.now, self.xid = found[0][:2]
        self.numbers = {row[2]: row[3] for row in found[1:]}
        return [(row[2], row[4]) for row in found[1:]]
