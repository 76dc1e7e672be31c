"""Payments that take long: customers hear that they must not pay again, whether or not the gateway answers."""

from collections.abc import Sequence
from typing import Final

from consumers.runtime.sweep.job import OrderJob, Tools
from domain.ids import OrderId
from domain.settling import notify_delay

DELAYS_EVERY_S: Final = 10


class DelayedPayments(OrderJob):
    """Notifies the customer once for each such order."""

    name = "sweep delays"

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, min(DELAYS_EVERY_S, tools.rules.delayed_notice_s / 10))

    async def find(self, most: int) -> Sequence[OrderId]:
        """Return orders whose payment takes long."""
        return await self._tools.ports.store.delayed_orders(self._tools.rules.delayed_notice_s, most)

    async def work(self, order_ids: Sequence[OrderId]) -> None:
        """Decide to notify, for each order that still needs it."""
        async with self._tools.ports.store.transaction(contended=False) as transaction:
            orders = await transaction.load(order_ids)
            work = self._begin(transaction, orders)
            for order in orders.values():
                work.apply(notify_delay(order, work.context(None)))
            await work.finish(self._tools.ports)
        work.report(self._log)
        self._log.info("customers are told that their payment takes long", orders=len(work.changes.orders))
