"""Refunds that fail after they have succeeded: the gateway is asked once a day, for as long as it may change them."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from consumers.gateway_told import refund_failed, waits
from consumers.runtime.cutting import or_cut
from consumers.runtime.locks import Detour
from consumers.runtime.sweep.job import CLAIM_MAX, Job, Tools
from domain.alarms import Lasting
from domain.blame import blame
from domain.errors import Busy, Transient
from domain.ids import OrderId
from domain.operation import Operation
from domain.order import Order
from domain.told import RefundFailure

LOOK_BACK: Final = timedelta(days=35)
"""So long after it was made a refund may fail. Source: Stripe's page on refunds (about 30 days), and some more."""
AGAIN_S: Final = 60.0
"""Between tries while the gateway does not answer."""
SOON_S: Final = 5.0
"""Between two looks that the gateway's notices ask for: it tells of many at once."""
UNREAD_S: Final = 600.0
"""If the gateway does not list refunds for so long, that is an alarm."""
WAITING_S: Final = 3_600.0
"""Until the next look if something else is under way for an order whose refund failed."""


class FailedRefunds(Job):
    """Books refunds of ours that have failed. every_s: between two looks at all of them; the first is at the start."""

    name = "sweep refunds"

    def __init__(self, tools: Tools, every_s: float) -> None:
        super().__init__(tools)
        self._every_s = every_s
        self._next_s = 0.0
        self._looked_s = 0.0
        self._asked = False
        self._waiting = False
        self._unread = Lasting(self._log, "refunds_unread")
        self._read_at: float | None = None
        self._detour: Detour[RefundFailure] = Detour(tools.watch, lambda failure: OrderId(failure.order_id))

    def look_soon(self) -> None:
        """Look at the refunds in some seconds: the gateway tells that one has failed."""
        self._asked = True
        self._next_s = min(self._next_s, self._looked_s + SOON_S)

    async def do(self, stop: asyncio.Event | None) -> int:
        """Look through the refunds if it is time. While the gateway does not answer, it is asked again in a while.

        So it is by the next sweep, too: what is due is done, and these refunds are looked for again each time.
        """
        now = asyncio.get_running_loop().time()
        if now < self._next_s:
            return 0
        self._looked_s, self._asked = now, False
        self._next_s = now + min(AGAIN_S, self._every_s)
        since = datetime.now(UTC) - LOOK_BACK  # noqa: TID251 - of the gateway's calendar, not of a decision
        self._read_at = self._read_at or now
        found: list[RefundFailure] = []
        try:
            async for failures in self._tools.ports.gateway.failed_refunds(since):
                found += failures
        except Transient as error:
            self._log.warning("failed refunds not looked for; tried again in a while", error=str(error))
            if now - self._read_at >= UNREAD_S:
                self._unread.again(now, "the gateway does not list refunds", error=str(error))
            return 0
        self._read_at = now
        self._unread.end(now, "the gateway lists refunds again")
        self._waiting = False
        left = False
        for n in range(0, len(found), CLAIM_MAX):
            left |= await self._book(found[n : n + CLAIM_MAX], stop)
        if left and stop is None:
            raise Busy("another session holds a row of an order whose refund failed")
        if not left:
            self._next_s = now + self._pause_s()
        return 0

    def _pause_s(self) -> float:
        """Return how long until the next look after one that went well."""
        if self._asked:  # while this look was under way
            return SOON_S
        return min(WAITING_S, self._every_s) if self._waiting else self._every_s

    async def _book(self, failures: Sequence[RefundFailure], stop: asyncio.Event | None) -> bool:
        """Book these; return whether some are left, because another session holds a row of their orders."""
        tools, patient = self._tools, stop is not None

        async def work(piece: Sequence[RefundFailure]) -> None:
            await tools.guard.transact(
                self.name, lambda _: self._detour.run(piece, or_cut(piece, self._settle(piece))), stop, patient=patient
            )

        async def set_aside(failure: RefundFailure, error: Exception) -> None:
            order_id = OrderId(failure.order_id)
            blamed = blame(error, order_id)
            await tools.guard.transact(
                self.name,
                lambda _: self._detour.run([failure], tools.quarantine.set_aside_order(order_id, blamed)),
                stop,
                patient=patient,
            )

        return bool(await self._detour.work(failures, work, set_aside))

    async def _settle(self, failures: Sequence[RefundFailure]) -> None:
        async with self._tools.ports.store.transaction(contended=False) as transaction:
            loaded = await transaction.load(list(dict.fromkeys(OrderId(failure.order_id) for failure in failures)))
            named = {failure.operation_id for failure in failures}
            orders = {
                order_id: _with_closed(order, await transaction.history(order_id), named)
                for order_id, order in loaded.items()
            }
            work = self._begin(transaction, orders)
            waiting = False
            for failure in failures:
                if (order := work.order(OrderId(failure.order_id))) is not None:
                    waiting |= waits(order, failure)
                    work.apply(refund_failed(order, failure, work.context(None)))
            await work.finish(self._tools.ports)
        self._waiting |= waiting
        work.report(self._log)


def _with_closed(order: Order, history: Sequence[Operation], named: Collection[str]) -> Order:
    """Return the order with those of its closed operations that are named: loading leaves them out."""
    for operation in history:
        if not operation.unfinished and str(operation.operation_id) in named:
            order = order.with_operation(operation)
    return order
