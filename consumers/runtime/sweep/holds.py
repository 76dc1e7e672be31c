"""Holds that have run out, whose goods go back to the stock; holds elsewhere that must not run out yet."""

from collections.abc import Callable, Sequence

from consumers.runtime.sweep.job import OrderJob, Tools
from consumers.runtime.work import Work
from domain.decision import silent
from domain.extending import keep_extended
from domain.goods import expire_hold
from domain.ids import OrderId
from domain.operation import OperationKind, operation_id
from domain.order import Order
from domain.ports.inventory import InventoryCall
from domain.ports.store import Claimed

Submit = Callable[[Sequence[Claimed]], None]


class LapsedHolds(OrderJob):
    """Releases them in the inventory, and decides it for their orders, in one transaction.

    submit: begins the releases in an inventory elsewhere.
    """

    name = "sweep holds"

    def __init__(self, tools: Tools, submit: Submit) -> None:
        super().__init__(tools)
        self._submit = submit

    async def find(self, most: int) -> Sequence[OrderId]:
        """Return orders with a hold that has run out."""
        return await self._tools.ports.store.lapsed_holds(most)

    async def work(self, order_ids: Sequence[OrderId]) -> None:
        """Release what has run out."""
        ports = self._tools.ports
        async with ports.store.transaction(contended=True) as transaction:
            orders = await transaction.load(order_ids)
            work = self._begin(transaction, orders)
            calls = [call for order in orders.values() for call in _expire(work, order)]
            if ports.inventory is not None:
                await ports.inventory.perform(transaction, calls)
            opened = await work.finish(ports)
        self._submit(opened)
        work.report(self._log)
        self._log.info("holds ran out", holds=len(calls))


class ShortHolds(OrderJob):
    """Has holds elsewhere extended while their capture or confirmation takes long."""

    name = "sweep short holds"

    def __init__(self, tools: Tools, submit: Submit) -> None:
        super().__init__(tools)
        self._submit = submit

    async def find(self, most: int) -> Sequence[OrderId]:
        """Return orders whose hold lapses too soon."""
        return await self._tools.ports.store.short_holds(self._tools.rules.reservation_ttl_s / 2, most)

    async def work(self, order_ids: Sequence[OrderId]) -> None:
        """Ask for their extension."""
        async with self._tools.ports.store.transaction(contended=False) as transaction:
            orders = await transaction.load(order_ids)
            work = self._begin(transaction, orders)
            for order in orders.values():
                extended = keep_extended(order, work.context(None))
                if extended is not None:
                    work.apply(silent(extended))
            opened = await work.finish(self._tools.ports)
        self._submit(opened)
        work.report(self._log)


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
