"""Putting in quarantine what raised: one message, one operation, one order. Others go on.

Too much of it within ten minutes is a bug of the release, whoever raised it: then nothing more is put there, and the
process stops.
"""

import structlog

from domain.alarms import ring
from domain.blame import Blame
from domain.errors import TooManyQuarantined
from domain.ids import OperationId, OrderId
from domain.ports.store import SetAside, Store, Transaction
from schemas.rejection import Reason


class Quarantine:
    """Shared by all loops of a process. most: PAYMENTS_QUARANTINE_MAX, counted over all processes."""

    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._most = most
        self._log = structlog.get_logger("consumers.quarantine")

    async def operation(self, order_id: OrderId, operation_id: OperationId, blame: Blame) -> None:
        """Keep an operation whose call or answer raised: nobody takes it up before an operator lets it go on."""
        await self._set_aside(SetAside("operation", order_id, blame.detail, blame.trace, operation_id), blame)

    async def order(self, order_id: OrderId, blame: Blame) -> None:
        """Keep an order about which the sweep raised: the sweep passes it over from now on."""
        await self._set_aside(SetAside("order", order_id, blame.detail, blame.trace), blame)

    async def check(self, transaction: Transaction, blame: Blame) -> None:
        """Raise TooManyQuarantined, which rolls the transaction back, if what it puts here is one too many."""
        if await transaction.quarantined_lately() > self._most:
            raise TooManyQuarantined(self._most, blame.detail) from blame.error

    def tell(self, blame: Blame, what: str, **ids: object) -> None:
        """Ring the alarm, with the trace."""
        ring(self._log, Reason.QUARANTINED.value, what, detail=blame.detail, exc_info=blame.error, **ids)

    async def _set_aside(self, work: SetAside, blame: Blame) -> None:
        async with self._store.transaction(contended=True) as transaction:
            await transaction.hold([work.order_id])
            number = await transaction.set_aside(work)
            if number is not None:
                await self.check(transaction, blame)
        if number is None:
            self._log.warning("what raised is over meanwhile", order_id=work.order_id, detail=blame.detail)
            return
        ids = {"operation_id": str(work.operation_id)} if work.operation_id else {}
        self.tell(blame, f"{work.kind} in quarantine", id=f"Q{number}", order_id=work.order_id, **ids)
