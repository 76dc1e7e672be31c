"""The new and the changed parts of a transaction's orders, by table."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.ids import OrderId
from domain.operation import Operation
from domain.order import Attempt, Hold, Order
from domain.ports.store import Change
from domain.requests import Request
from outbox.driver.batches import Batch, Insert, Row
from outbox.schema.mapping import ATTEMPTS, HOLDS, OPERATIONS, ORDERS, REQUESTS


class Parts:
    """The differences between orders as loaded and as decided. Values are frozen, so the same object is unchanged."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.new_orders = sorted((c.after for c in changes if c.before is None), key=lambda order: order.order_id)
        self.old_orders = [c.after for c in changes if c.before is not None and c.after is not c.before]
        self.closed: list[Operation] = []
        self.opened: list[Operation] = []
        self.new_attempts: list[tuple[OrderId, Attempt]] = []
        self.old_attempts: list[tuple[OrderId, Attempt]] = []
        self.new_holds: list[tuple[OrderId, Hold]] = []
        self.old_holds: list[tuple[OrderId, Hold]] = []
        self.new_requests: list[tuple[OrderId, Request]] = []
        self.old_requests: list[tuple[OrderId, Request]] = []
        for change in changes:
            self.add(change.before, change.after)
        self.largest = max(len(self.new_orders), len(self.old_orders))

    def inserts(self, numbers: Mapping[OrderId, int], now: datetime) -> list[tuple[Insert, list[Row]]]:
        """Return the new rows, by table."""
        return [
            (ORDERS.insert, [ORDERS.row(o, numbers[o.order_id], now) for o in self.new_orders]),
            (OPERATIONS.insert, [OPERATIONS.row(o, numbers[o.order_id]) for o in self.opened]),
            (ATTEMPTS.insert, [ATTEMPTS.row(a, numbers[i], i) for i, a in self.new_attempts]),
            (HOLDS.insert, [HOLDS.row(h, numbers[i], i) for i, h in self.new_holds]),
            (REQUESTS.insert, [REQUESTS.row(r, numbers[i], i) for i, r in self.new_requests]),
        ]

    def updates(self, numbers: Mapping[OrderId, int], now: datetime) -> list[tuple[Batch, list[Row]]]:
        """Return the changed rows, by table. They are written before new ones: an order has one open operation."""
        return [
            (ORDERS.update, [ORDERS.change(o, stamp=(now,)) for o in self.old_orders]),
            (OPERATIONS.update, [OPERATIONS.change(o, (numbers[o.order_id],)) for o in self.closed]),
            (ATTEMPTS.update, [ATTEMPTS.change(a, (numbers[i],)) for i, a in self.old_attempts]),
            (HOLDS.update, [HOLDS.change(h, (numbers[i],)) for i, h in self.old_holds]),
            (REQUESTS.update, [REQUESTS.change(r, (numbers[i],)) for i, r in self.old_requests]),
        ]

    def add(self, before: Order | None, after: Order) -> None:
        """Compare the parts of one order."""
        operations, attempts, holds = (before.operations, before.attempts, before.holds) if before else ((), (), ())
        if after.operations is not operations:
            self._add_operations(operations, after)
        if after.attempts is not attempts:
            self._add_attempts(attempts, after)
        if after.holds is not holds:
            self._add_holds(holds, after)
        requests = before.requests if before else ()
        if after.requests is not requests:
            self._add_requests(requests, after)

    def _add_operations(self, known: Sequence[Operation], order: Order) -> None:
        known_ids = [o.operation_id for o in known]
        for operation in order.operations:
            if operation.operation_id not in known_ids:
                self.opened.append(operation)
            elif operation not in known:
                self.closed.append(operation)

    def _add_attempts(self, known: Sequence[Attempt], order: Order) -> None:
        for number, attempt in enumerate(order.attempts):
            if number >= len(known):
                self.new_attempts.append((order.order_id, attempt))
            elif known[number] is not attempt:
                self.old_attempts.append((order.order_id, attempt))

    def _add_holds(self, known: Sequence[Hold], order: Order) -> None:
        attempts = [hold.attempt for hold in known]
        for hold in order.holds:
            if hold.attempt not in attempts:
                self.new_holds.append((order.order_id, hold))
            elif hold not in known:
                self.old_holds.append((order.order_id, hold))

    def _add_requests(self, known: Sequence[Request], order: Order) -> None:
        names = {(request.kind, request.request_id) for request in known}
        for request in order.requests:
            if (request.kind, request.request_id) not in names:
                self.new_requests.append((order.order_id, request))
            elif request not in known:
                self.old_requests.append((order.order_id, request))
