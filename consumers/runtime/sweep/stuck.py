"""Orders that stand still: their events may be lost, so they are sent again; in the end an operator is asked."""

from collections.abc import Sequence
from typing import Final

from consumers.runtime.performing import IDS_MAX
from consumers.runtime.sweep.job import OrderJob, Tools
from domain.alarms import ring
from domain.ids import OrderId
from domain.stuck import revive

STUCK_EVERY_S: Final = 60


class StuckOrders(OrderJob):
    """Revives orders on which nobody has worked for long, however old they are."""

    name = "sweep stuck"

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, STUCK_EVERY_S)

    async def find(self, most: int) -> Sequence[OrderId]:
        """Return orders that stand still."""
        return await self._tools.ports.store.stuck_orders(self._tools.rules.stuck_after_s, most)

    async def work(self, order_ids: Sequence[OrderId]) -> None:
        """Revive those that still stand still."""
        async with self._tools.ports.store.transaction(contended=False) as transaction:
            orders = await transaction.load(order_ids)
            # Another sweep may have found the same orders and revived them first.
            still = await transaction.unchanged(list(orders), self._tools.rules.stuck_after_s)
            work = self._begin(transaction, orders)
            again = []
            for order in orders.values():
                decision = revive(order, work.context(None)) if order.order_id in still else None
                if decision is not None:
                    work.apply(decision)
                    if not decision.events:
                        again.append(order.order_id)
            await work.finish(self._tools.ports)
            await transaction.send_again(again)
        work.report(self._log)
        if again:
            text = "orders stood still; their events are sent again"
            ring(self._log, "stuck", text, orders=len(again), order_ids=again[:IDS_MAX])
