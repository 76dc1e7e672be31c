"""What an operator asks of an order by a command, in the same kind of transaction as a message about it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import structlog

from consumers.runtime.guard import Guard
from consumers.runtime.ports import Local
from consumers.runtime.work import Work
from domain.approval import Person
from domain.approving import approve
from domain.decision import Decision
from domain.errors import Busy
from domain.ids import OrderId
from domain.order import Order
from domain.ports.store import Store
from domain.reaction import Reaction
from domain.rules import Context, Rules
from domain.ruling import No
from domain.values import replace
from schemas.events import Event, OwnEvent
from schemas.rejection import Reason

Decide = Callable[[Order, Context], Decision | No]


class Asked(NamedTuple):
    """What came of it. events: in the order of their emission. refused, detail: why it is no valid request.

    new: False if it was asked for before; then it had no effect.
    """

    before: Order
    after: Order
    events: tuple[OwnEvent, ...] = ()
    refused: Reason | None = None
    detail: str = ""
    new: bool = True


class _RolledBack(Exception):  # noqa: N818 - an answer, no error
    """Rolls back what was only tried, and carries what it would have done."""

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self.asked = asked


class Asker:
    """Asks. What is opened is due at once: the sweep makes the calls."""

    def __init__(
        self, store: Store, ports: Local, reactions: Mapping[str, Reaction], rules: Rules, guard: Guard
    ) -> None:
        self._store = store
        self._ports = ports
        self._reactions = reactions
        self._rules = replace(rules, lease_s=0)
        self._guard = guard
        self._log = structlog.get_logger("consumers.asker")

    async def ask(self, reaction: str, event: Event, operator: str, *, try_only: bool = False) -> Asked | None:
        """Plan the event under the lock of its order, as if it had come by its topic. None: there is no such order.

        reaction: the name of the one that the event is for. operator: who asks, as domain.approval.Person names them.
        try_only: return what it would do, and do nothing. Raises Transient when the database does not answer.
        """

        def plan(order: Order, context: Context) -> Decision:
            return self._reactions[reaction].plan(order, event, replace(context, operator=operator))

        asked = await self._transact(OrderId(event.subject), plan, try_only=try_only)
        assert not isinstance(asked, No)
        return asked

    async def approve(self, order_id: OrderId, request_id: str, person: Person) -> Asked | No | None:
        """Approve a request as its second person. None: there is no such order. Raises as ask."""
        return await self._transact(
            order_id, lambda order, context: approve(order, request_id, person, context), try_only=False
        )

    async def _transact(self, order_id: OrderId, decide: Decide, *, try_only: bool) -> Asked | No | None:
        async def run(contended: bool) -> Asked | No | None:  # noqa: FBT001 - as the guard calls
            return await self._decide(order_id, decide, contended=contended, try_only=try_only)

        try:
            return await self._guard.transact("ask", run, patient=False)
        except _RolledBack as tried:
            return tried.asked
        except Busy as busy:
            raise await self._store.with_holder(busy) from busy

    async def _decide(self, order_id: OrderId, decide: Decide, *, contended: bool, try_only: bool) -> Asked | No | None:
        async with self._store.transaction(contended=contended) as transaction:
            orders = await transaction.load([order_id])
            before = orders.get(order_id)
            if before is None:
                return None
            work = Work(transaction, orders, self._reactions, self._rules)
            decision = decide(before, work.context(None))
            if isinstance(decision, No):
                return decision
            if decision.refused is not None:
                return Asked(before, before, refused=decision.refused, detail=decision.detail)
            if decision.order is None:
                return Asked(before, before, new=False)
            work.apply(decision)
            await work.finish(self._ports)
            after = work.order(order_id)
            assert after is not None
            asked = Asked(before, after, tuple(work.changes.events))
            if try_only:
                raise _RolledBack(asked)
        work.report(self._log)
        return asked
