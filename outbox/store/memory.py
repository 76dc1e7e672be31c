"""Orders as this process wrote them last, so that their next step need not read them again.

An order passes through five transactions within a second, mostly of one process. Every change of an order or its parts
writes the order's row. So the row's xmin (the transaction that wrote it), read under the row's lock, shows whether the
order is still as we wrote it. One exception: a claim of the sweep changes a due operation alone. So an order with an
operation that is due, or came due while we waited for the lock, is read.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from domain.ids import OrderId
from domain.order import FINAL, Order
from domain.values import replace

ORDERS_MAX: Final = 8_000
"""Some 15 MB. Further orders are read from the tables. Of a long backlog six thousand are under way at once."""
WAIT_MAX: Final = timedelta(seconds=30)
"""The transaction's now() does not move while it waits for locks. Each wait lasts lock_timeout at most."""


class OrderMemory:
    """xmin: PostgreSQL's transaction id, as the driver returns it."""

    def __init__(self, orders_max: int = ORDERS_MAX) -> None:
        self._orders_max = orders_max
        self._known: dict[OrderId, tuple[bytes, Order]] = {}

    def recall(self, order_id: OrderId, xmin: bytes, now: datetime) -> Order | None:
        """Return the order if its row is as we wrote it and nobody can have claimed an operation of it since.

        now: of the transaction.
        """
        known = self._known.get(order_id)
        if known is None or known[0] != xmin:
            return None
        order = known[1]
        for operation in order.operations:
            if operation.due_at is not None and operation.due_at <= now + WAIT_MAX:
                return None
        return order

    def keep(self, orders: Iterable[Order], xmin: bytes) -> None:
        """Remember orders that a transaction has written, once it has committed."""
        known = self._known
        for order in orders:
            known.pop(order.order_id, None)
            if order.status not in FINAL:  # a final order is rarely needed again
                known[order.order_id] = (xmin, _as_loaded(order))
        while len(known) > self._orders_max:
            del known[next(iter(known))]

    def forget(self, order_ids: Iterable[OrderId]) -> None:
        """Forget these orders, so that they are read next time."""
        for order_id in order_ids:
            self._known.pop(order_id, None)


def _as_loaded(order: Order) -> Order:
    """Leave out finished operations, as loading does."""
    for operation in order.operations:
        if not operation.unfinished:
            return replace(order, operations=tuple(o for o in order.operations if o.unfinished))
    return order
