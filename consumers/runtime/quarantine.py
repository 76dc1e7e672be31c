"""Quarantine for one message, one operation or one order that raised. All others go on.

Too many within ten minutes, over all processes, are a bug of the release: then the process stops instead.
"""

import structlog

from domain.alarms import ring
from domain.blame import Blame
from domain.errors import TooManyQuarantined
from domain.ids import OperationId, OrderId
from domain.ports.store import SetAside, Store, Transaction
from schemas.rejection import Reason


class Quarantine:
    """most: PAYMENTS_QUARANTINE_MAX, counted over all processes."""

    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._most = most
        self._log = structlog.get_logger("consumers.quarantine")

    async def set_aside_operation(self, order_id: OrderId, operation_id: OperationId, blame: Blame) -> None:
        """Set aside an operation whose call or answer raised: it waits until an operator lets it go on."""
        await self._set_aside(SetAside("operation", order_id, blame.detail, blame.trace, operation_id), blame)

    async def set_aside_order(self, order_id: OrderId, blame: Blame) -> None:
        """Set aside an order for which the sweep raised: the sweep skips it from now on."""
        await self._set_aside(SetAside("order", order_id, blame.detail, blame.trace), blame)

    async def check(self, transaction: Transaction, blame: Blame) -> None:
        """Raise TooManyQuarantined, which rolls the transaction back, if this transaction adds one too many."""
        if await transaction.quarantined_lately() > self._most:
            raise TooManyQuarantined(self._most, blame.detail) from blame.error

    def ring(self, blame: Blame, what: str, **ids: object) -> None:
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
        self.ring(blame, f"{work.kind} in quarantine", letter_id=f"Q{number}", order_id=work.order_id, **ids)
