"""Holds that have run out: their goods go back to the stock."""

from collections.abc import Sequence

from consumers.runtime.sweep.job import OrderJob
from consumers.runtime.work import Work
from domain.goods import expire_hold
from domain.ids import OrderId
from domain.operation import OperationKind, operation_id
from domain.order import Order
from domain.ports.inventory import InventoryCall


class LapsedHolds(OrderJob):
    """Releases them in the inventory, and decides it for their orders, in one transaction."""

    name = "sweep holds"

    async def find(self, most: int) -> Sequence[OrderId]:
        """Return orders with a hold that has run out."""
        return await self._tools.ports.store.lapsed_holds(most)

    async def work(self, order_ids: Sequence[OrderId]) -> None:
        """Release what has run out."""
        async with self._tools.ports.store.transaction(contended=True) as transaction:
            orders = await transaction.load(order_ids)
            work = self._begin(transaction, orders)
            calls = [call for order in orders.values() for call in _expire(work, order)]
            await self._tools.ports.inventory.perform(transaction, calls)
            await work.finish(self._tools.ports)
        work.report(self._log)
        self._log.info("holds ran out", holds=len(calls))


def _expire(work: Work, order: Order) -> list[InventoryCall]:
    calls: list[InventoryCall] = []
    for hold in order.holds:
        current = work.order(order.order_id)
        assert current is not None
        decision = expire_hold(current, hold.attempt, work.context(None))
        if decision.order is not None:
            work.apply(decision)
            name = operation_id(order.order_id, hold.attempt, OperationKind.RELEASE, 1)
            calls.append(InventoryCall(name, OperationKind.RELEASE, hold.reservation_id, order.lines, hold.expires_at))
    return calls
