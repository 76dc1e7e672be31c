"""Requests that wait for a second person: nobody has said yes in time, so they are refused."""

from collections.abc import Sequence
from typing import Final

from consumers.runtime.sweep.job import OrderJob, Tools
from domain.approving import refuse_unapproved
from domain.ids import OrderId

LOOK_EVERY_S: Final = 60


class Unapproved(OrderJob):
    """Refuses them, each once."""

    name = "sweep approvals"

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, min(LOOK_EVERY_S, tools.rules.approval_max_s / 10))

    async def find(self, most: int) -> Sequence[OrderId]:
        """Return orders with a request that has waited too long."""
        return await self._tools.ports.store.unapproved_orders(self._tools.rules.approval_max_s, most)

    async def work(self, order_ids: Sequence[OrderId]) -> None:
        """Refuse what has waited too long."""
        async with self._tools.ports.store.transaction(contended=False) as transaction:
            orders = await transaction.load(order_ids)
            work = self._begin(transaction, orders)
            for order in orders.values():
                work.apply(refuse_unapproved(order, work.context(None)))
            await work.finish(self._tools.ports)
        work.report(self._log)
        self._log.info("requests that nobody approved in time are refused", orders=len(work.changes.orders))
