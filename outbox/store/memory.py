"""Orders as this process wrote them last, so that their next step need not read them again.

An order passes through five transactions within a second, mostly of one process. What makes that safe is the row of the
order: every change of an aggregate writes it, so its xmin (the transaction that wrote it) tells whether the order still
is what we wrote. It is compared under the row's lock. Only a claim of the sweep touches an operation without its order,
and only once the operation is due: an order with an operation that is, or was while we waited for the lock, is read.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from domain.ids import OrderId
from domain.order import FINAL, Order
from domain.values import replace

ORDERS_MAX: Final = 20_000
"""Some 40 MB. Those that are forgotten are read from their tables."""
WAIT_MAX: Final = timedelta(seconds=30)
"""A transaction's clock stands still while it waits for locks, for each as long as lock_timeout at the most."""


class OrderMemory:
    """xmin: PostgreSQL's transaction id, in whatever form the driver gives it."""

    def __init__(self, orders_max: int = ORDERS_MAX) -> None:
        self._orders_max = orders_max
        self._known: dict[OrderId, tuple[bytes, Order]] = {}

    def recall(self, order_id: OrderId, xmin: bytes, now: datetime) -> Order | None:
        """Return the order if its row is as we wrote it and nobody can have claimed an operation of it since.

        now: the transaction's.
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
            if order.status not in FINAL:  # little follows, and they would fill the memory
                known[order.order_id] = (xmin, _as_loaded(order))
        while len(known) > self._orders_max:
            del known[next(iter(known))]

    def forget(self, order_ids: Iterable[OrderId]) -> None:
        """Read these anew next time."""
        for order_id in order_ids:
            self._known.pop(order_id, None)


def _as_loaded(order: Order) -> Order:
    """Leave out the operations that the transaction has finished, as loading does."""
    for operation in order.operations:
        if not operation.unfinished:
            return replace(order, operations=tuple(o for o in order.operations if o.unfinished))
    return order
