"""An operator's ruling on an order under review, in the same kind of transaction as an answer."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import structlog

from consumers.runtime.guard import Guard
from consumers.runtime.ports import Local
from consumers.runtime.work import Work
from domain.errors import Busy
from domain.ids import OrderId
from domain.notices import REFUND_UPDATED, Notice
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Order
from domain.ports.store import Resolution, Store
from domain.reaction import Reaction
from domain.resolving import resolve
from domain.rules import Rules
from domain.ruling import Fits, No, Ruling, Word
from domain.ways_out import OUTSIDE
from outbox.store.notices import keep
from outbox.store.references import other_owner
from outbox.store.transaction import PgTransaction
from schemas.events import OwnEvent


class Resolved(NamedTuple):
    """What came of a ruling. opened: operations that the sweep performs next."""

    before: Order
    after: Order
    events: tuple[OwnEvent, ...]
    opened: tuple[Operation, ...]


class _RolledBack(Exception):  # noqa: N818 - an answer, no error
    """Rolls back the transaction of a ruling that was only tried, and carries what it would have done."""

    def __init__(self, resolved: Resolved) -> None:
        super().__init__()
        self.resolved = resolved


class Resolver:
    """Applies rulings. fits: whether the gateway could have given such an id."""

    def __init__(
        self,
        store: Store,
        ports: Local,
        reactions: Mapping[str, Reaction],
        rules: Rules,
        guard: Guard,
        fits: Fits,
    ) -> None:
        self._store = store
        self._ports = ports
        self._reactions = reactions
        self._rules = rules
        self._guard = guard
        self._fits = fits
        self._log = structlog.get_logger("consumers.resolver")

    async def resolve(self, order_id: OrderId, ruling: Ruling, *, try_only: bool = False) -> Resolved | No | None:
        """Apply a ruling once, under the lock of the order. None: there is no such order.

        try_only: return what it would do, and do nothing.
        """

        async def run(contended: bool) -> Resolved | No | None:  # noqa: FBT001 - as the guard calls
            return await self._resolve(order_id, ruling, contended=contended, try_only=try_only)

        try:
            return await self._guard.transact("resolve", run, patient=False)
        except _RolledBack as tried:
            return tried.resolved
        except Busy as busy:
            raise await self._store.with_holder(busy) from busy

    async def _resolve(
        self, order_id: OrderId, ruling: Ruling, *, contended: bool, try_only: bool
    ) -> Resolved | No | None:
        async with self._store.transaction(contended=contended) as transaction:
            assert isinstance(transaction, PgTransaction)
            reference = ruling.reference
            owner = None if reference is None else await other_owner(transaction, reference, order_id)
            orders = await transaction.load([order_id])
            before = orders.get(order_id)
            if before is None:
                return None
            history = await transaction.history(order_id)
            work = Work(transaction, orders, self._reactions, self._rules)
            settles = {name: reaction.settle for name, reaction in self._reactions.items()}
            decision = resolve(before, history, ruling, settles, self._fits, work.context(None))
            if isinstance(decision, No):
                return decision
            if owner is not None:
                return No(_of_another(ruling, owner))
            work.apply(decision)
            reason = before.review_reason or ""
            word = Resolution(order_id, reason, ruling.word, reference, ruling.reason, ruling.by)
            work.changes.resolutions.append(word)
            opened = await work.finish(self._ports)
            if decision.order is not None and (unseen := _unseen(decision.order, ruling, transaction.now)):
                await keep(await transaction.plain(), unseen)
            if reason == "stuck":
                # Its events may have been lost with a broker's data, and readers of the topics need them.
                await transaction.send_again([order_id])
            after = work.order(order_id)
            assert after is not None
            resolved = Resolved(before, after, tuple(work.changes.events), tuple(c.operation for c in opened))
            if try_only:
                raise _RolledBack(resolved)
        work.report(self._log)
        return resolved


def _unseen(order: Order, ruling: Ruling, at: datetime) -> list[Notice]:
    """Return notices of a refund that a person has named and the gateway was not asked about: the sweep asks.

    Else nobody would hear that the id was wrong, and the customer would wait for money that nobody has sent.
    """
    if ruling.seen is not None or ruling.word is not Word.EXECUTED or (ruling.reference or "").startswith(OUTSIDE):
        return []
    return [
        Notice(f"ruled:{o.operation_id}", REFUND_UPDATED, at, o.reference, o.transaction_id, None, None)
        for o in order.operations
        if o.kind is OperationKind.REFUND
        and o.state is OperationState.APPROVED
        and o.reference is not None
        and o.reference == ruling.reference
    ]


def _of_another(ruling: Ruling, owner: OrderId) -> str:
    """Say that the reference is of another order, which was paid with it: under this one it would be given back."""
    if (ruling.reference or "").startswith(OUTSIDE):
        return f"{ruling.reference} stands for money of order {owner}: add to it what tells the two apart"
    return f"{ruling.reference} is of order {owner}: look up what this order's own payment made"
