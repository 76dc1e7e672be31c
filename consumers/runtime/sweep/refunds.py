"""Refunds that change without us: the gateway's list is read once a day, for as long as it may change them.

Those of ours that failed after they had succeeded are booked here. One that somebody else made becomes a notice, as if
the gateway had told it: `told.py` asks about its transaction. So does one of ours whose payment others refunded, too.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from consumers.gateway_told import ROWS
from consumers.runtime.sweep.booking import Booking
from consumers.runtime.sweep.job import Job, Tools
from domain.alarms import Lasting
from domain.errors import Busy, Transient
from domain.hearing import Hearing, hear, with_closed
from domain.ids import OrderId
from domain.news import RefundFailure
from domain.notices import REFUND_FAILED, Notice
from domain.told import transaction_to_ask
from domain.values import replace

LOOK_BACK: Final = timedelta(days=35)
"""So long after it was made a refund may fail. Source: Stripe's page on refunds (about 30 days), and some more."""
AGAIN_S: Final = 60.0
"""Between tries while the gateway does not answer."""
UNREAD_S: Final = 600.0
"""If the gateway does not list refunds for so long, that is an alarm."""
WAITING_S: Final = 3_600.0
"""Until the next look if something else is under way for an order whose refund failed."""


class LateRefunds(Job):
    """Looks at all refunds of the last weeks. every_s: between two looks; the first is at the start."""

    name = "sweep refunds"

    def __init__(self, tools: Tools, every_s: float) -> None:
        super().__init__(tools)
        self._every_s = every_s
        self._next_s = 0.0
        self._waiting = False
        self._to_ask: list[Notice] = []
        self._unread = Lasting(self._log, "refunds_unread")
        self._read_at: float | None = None
        self._booking: Booking[RefundFailure] = Booking(
            tools, self.name, lambda failure: OrderId(failure.order_id), self._settle
        )

    async def do(self, stop: asyncio.Event | None) -> int:
        """Look through the refunds if it is time. While the gateway does not answer, it is asked again in a while.

        So it is by the next sweep, too: what is due is done, and these refunds are looked for again each time.
        """
        now = asyncio.get_running_loop().time()
        if now < self._next_s:
            return 0
        self._next_s = now + min(AGAIN_S, self._every_s)
        found = await self._read(now)
        if found is None:
            return 0
        today = datetime.now(UTC)  # noqa: TID251 - names a notice, decides nothing
        await self._keep([_of_day(notice, today) for notice in found if isinstance(notice, Notice)], stop)
        self._waiting, self._to_ask = False, []
        left = await self._booking.book([failure for failure in found if isinstance(failure, RefundFailure)], stop)
        await self._keep(self._to_ask, stop)
        if left and stop is None:
            raise Busy("another session holds a row of an order whose refund failed")
        if not left:
            self._next_s = now + (min(WAITING_S, self._every_s) if self._waiting else self._every_s)
        return 0

    async def _read(self, now: float) -> list[RefundFailure | Notice] | None:
        """Return all that the list tells; None if the gateway does not give it."""
        since = datetime.now(UTC) - LOOK_BACK  # noqa: TID251 - of the gateway's calendar, not of a decision
        self._read_at = self._read_at or now
        found: list[RefundFailure | Notice] = []
        try:
            async for group in self._tools.ports.gateway.late_refunds(since):
                found += group
        except Transient as error:
            self._log.warning("late refunds not looked for; tried again in a while", error=str(error))
            if now - self._read_at >= UNREAD_S:
                self._unread.again(now, "the gateway does not list refunds", error=str(error))
            return None
        self._read_at = now
        self._unread.end(now, "the gateway lists refunds again")
        return found

    async def _keep(self, told: Sequence[Notice], stop: asyncio.Event | None) -> None:
        """Keep notices of refunds whose transactions the gateway is to be asked about, those with a new name."""
        notices = self._tools.ports.notices
        if notices is not None and told and (new := await self._look(lambda _: notices.keep(told), stop)):
            self._log.info("the gateway lists refunds that it is asked about", refunds=new)

    async def _settle(self, failures: Sequence[RefundFailure]) -> None:
        async with self._tools.ports.store.transaction(contended=False) as transaction:
            ids = list(dict.fromkeys(OrderId(failure.order_id) for failure in failures))
            loaded = await transaction.load(ids, waiting=True)
            orders = {
                order_id: with_closed(order, await transaction.history(order_id)) for order_id, order in loaded.items()
            }
            work = self._begin(transaction, orders)
            waiting = False
            to_ask: list[Notice] = []
            for failure in failures:
                order = work.order(OrderId(failure.order_id))
                if order is not None and order.order_id not in transaction.waiting:
                    context = work.context(None)
                    decision = hear(ROWS, Hearing(order, failure, context))
                    waiting |= decision is None
                    transaction_id = transaction_to_ask(order, failure)
                    if transaction_id is not None:
                        to_ask.append(notice_of(failure, transaction_id, context.at))
                    if decision is not None:
                        work.apply(decision)
            await work.finish(self._tools.ports)
        self._waiting |= waiting
        self._to_ask += to_ask
        work.report(self._log)


def _of_day(notice: Notice, at: datetime) -> Notice:
    """Return the notice with a name of its day if it tells of a failure.

    The gateway's answer may lag behind its own list: then the notice of yesterday has ended as known, and the books
    still count the refund.
    """
    failed = notice.type == REFUND_FAILED
    return replace(notice, notice_id=f"{notice.notice_id}:{at:%Y-%m-%d}") if failed else notice


def notice_of(failure: RefundFailure, transaction_id: str, at: datetime) -> Notice:
    """Make the notice by which the gateway is asked about the failed refund's transaction, once a day.

    Its answer may lag behind its own list: then the notice ends as known, and the failure is still to be booked.
    """
    name = f"{failure.refund_id}:failed:{at:%Y-%m-%d}"
    return Notice(name, REFUND_FAILED, at, failure.refund_id, transaction_id, None, None)
