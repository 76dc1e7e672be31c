"""The work of one transaction: the orders as loaded and as decided so far, and what has to be written.

Operations at a local port are performed and settled here, inside the transaction; those at a remote port are left open,
for whoever opened them to perform once the transaction has committed.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from consumers.runtime.ports import Ports
from domain.decision import Decision
from domain.ids import OrderId
from domain.operation import INVENTORY_KINDS
from domain.order import Operation, Order, reservation_id
from domain.ports.inventory import InventoryAnswer, InventoryCall
from domain.ports.store import Change, Changes, Claimed, Transaction
from domain.reaction import Reaction
from domain.rules import Context, Rules
from domain.values import replace
from schemas.events import Event

LOCAL_ROUNDS_MAX: Final = 4
"""Reserve, then nothing; capture settled, then confirm: two rounds are the most that the tables can ask for."""


class Work:
    """Collects decisions. reactions: by name, for settling what another reaction opened."""

    def __init__(
        self, transaction: Transaction, orders: Mapping[OrderId, Order], reactions: Mapping[str, Reaction], rules: Rules
    ) -> None:
        self.transaction = transaction
        self.changes = Changes()
        self.alarms: list[tuple[OrderId, str]] = []
        self._before = dict(orders)
        self._orders: dict[OrderId, Order] = dict(orders)
        self._touched: dict[OrderId, None] = {}
        self._reactions = reactions
        self._rules = rules

    def order(self, order_id: OrderId) -> Order | None:
        """Return the order as decided so far."""
        return self._orders.get(order_id)

    def context(self, cause: Event | Operation | None) -> Context:
        """Return what a decision may know; caused by an event, or by what opened the operation."""
        if isinstance(cause, Operation):
            return Context(self.transaction.now, cause.causation_id, self._rules)
        return Context(self.transaction.now, None if cause is None else cause.event_id, self._rules)  # type: ignore[arg-type]

    def apply(self, decision: Decision) -> None:
        """Take over a decision."""
        self.changes.events += decision.events
        self.changes.notifications += decision.notifications
        if decision.order is not None:
            order_id = decision.order.order_id
            self._orders[order_id] = decision.order
            self._touched[order_id] = None
            if decision.alarm:
                self.alarms.append((order_id, decision.alarm))

    def tell(self, log: Any) -> None:
        """Log what was decided: alarms always, each event only for who asks for DEBUG."""
        for order_id, alarm in self.alarms:
            log.error("order needs an operator", alarm=True, reason=alarm, order_id=order_id)
        if log.is_enabled_for(logging.DEBUG):
            for event in self.changes.events:
                ids = {"order_id": event.order_id, "event_id": str(event.event_id), "causation_id": event.causation_id}
                log.debug(event.TYPE, version=event.order_version, correlation_id=event.correlation_id, **ids)

    async def finish(self, ports: Ports) -> list[Claimed]:
        """Perform what is local, write everything; return the new operations at remote ports."""
        for _ in range(LOCAL_ROUNDS_MAX):
            calls = self._local_calls()
            if not calls:
                break
            self._settle_local(await ports.inventory.perform(self.transaction, list(calls)))
        else:
            raise AssertionError("local operations open each other without end")
        opened: list[Claimed] = []
        for order_id in self._touched:
            before, after = self._before.get(order_id), self._without_local(self._orders[order_id])
            self.changes.orders.append(Change(before, after))
            opened += _opened(before, after)
        if self.changes.notifications:
            await ports.notifier.tell(self.changes.notifications)
        await self.transaction.save(self.changes)
        return opened

    def _local_calls(self) -> list[InventoryCall]:
        return [
            inventory_call(self._orders[order_id], operation, self.context(None))
            for order_id in self._touched
            for operation in self._orders[order_id].operations
            if operation.kind in INVENTORY_KINDS and operation.unfinished
        ]

    def _settle_local(self, answers: Sequence[InventoryAnswer]) -> None:
        outcomes = dict(answers)
        for order_id in list(self._touched):
            for operation in self._orders[order_id].operations:
                if operation.unfinished and operation.operation_id in outcomes:
                    order, settle = self._orders[order_id], self._reactions[operation.reaction].settle
                    outcome = outcomes[operation.operation_id]
                    self.apply(settle(order, operation, outcome, self.context(operation)))

    @staticmethod
    def _without_local(order: Order) -> Order:
        """Leave out what was performed here: the hold is its record, no crash point lies between."""
        if all(o.kind not in INVENTORY_KINDS for o in order.operations):
            return order
        return replace(order, operations=tuple(o for o in order.operations if o.kind not in INVENTORY_KINDS))


def inventory_call(order: Order, operation: Operation, context: Context) -> InventoryCall:
    """Build what the inventory is asked."""
    return InventoryCall(
        operation_id=operation.operation_id,
        kind=operation.kind,
        reservation_id=reservation_id(order.order_id, operation.attempt),
        lines=order.lines,
        expires_at=context.after(context.rules.reservation_ttl_s),
    )


def _opened(before: Order | None, after: Order) -> list[Claimed]:
    known = {o.operation_id for o in before.operations} if before else set()
    return [
        Claimed(o, after.attempts[o.attempt - 1].token)
        for o in after.operations
        if o.unfinished and o.operation_id not in known
    ]
