"""The work of one transaction: the orders as loaded and as decided so far, and what must be written.

Operations at an inventory in our own database are performed and settled here, inside the transaction. All others stay
open: their opener performs them after the transaction has committed.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from consumers.runtime.ports import Local, Ports
from domain.alarms import ring
from domain.decision import Decision
from domain.ids import EventId, OrderId
from domain.operation import INVENTORY_KINDS, Operation, OperationKind
from domain.order import Order, reservation_id
from domain.ports.inventory import InventoryAnswer, InventoryCall, LocalInventory
from domain.ports.store import Change, Changes, Claimed, Transaction
from domain.reaction import Reaction
from domain.restocking import lines_of, request_of
from domain.rules import Context, Rules
from domain.tracing import Trace
from domain.values import replace

LOCAL_ROUNDS_MAX: Final = 4
"""The tables need at most two rounds: a settled capture opens a confirm, and that opens nothing."""


class Work:
    """Collects decisions. reactions: by name, to settle what another reaction opened."""

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

    def context(
        self, causation_id: EventId | None, content: bytes | None = None, recorded_at: datetime | None = None
    ) -> Context:
        """Return the context of a decision. causation_id: the event that caused it. content: its hash, if known.

        recorded_at: the time-stamp of the event's message.
        """
        return Context(self.transaction.now, causation_id, self._rules, content, recorded_at=recorded_at)

    def apply(self, decision: Decision, trace: Trace | None = None) -> None:
        """Take a decision into this work.

        trace: the context that its events and new operations carry on; None: that of the order's unfinished operations.
        """
        order = decision.order
        if order is not None:
            before = self._orders.get(order.order_id)
            trace = trace or trace_of(before)
            if trace is not None:
                order = traced(before, order, trace)
        if decision.events:
            self.changes.events += decision.events
            if trace is not None:
                self.changes.traces.update((event.event_id.int, trace) for event in decision.events)
        if decision.notifications:
            self.changes.notifications += decision.notifications
        if decision.adjustments:
            self.changes.adjustments += decision.adjustments
        if order is not None:
            order_id = order.order_id
            self._orders[order_id] = order
            self._touched[order_id] = None
            if decision.dispute is not None:
                self.changes.disputes.append((order_id, decision.dispute))
            if decision.alarm:
                self.alarms.append((order_id, decision.alarm))

    def report(self, log: Any) -> None:
        """Log what was decided: alarms always, events at level DEBUG."""
        for order_id, alarm in self.alarms:
            ring(log, alarm, "an order needs attention", order_id=order_id)
        if log.is_enabled_for(logging.DEBUG):
            for event in self.changes.events:
                ids = {"order_id": event.order_id, "event_id": str(event.event_id), "causation_id": event.causation_id}
                log.debug(event.TYPE, version=event.order_version, correlation_id=event.correlation_id, **ids)

    async def finish(self, ports: Ports | Local) -> list[Claimed]:
        """Perform what is local and write everything; return the new operations that are left to perform.

        Afterwards `changes.dead_letters` has only letters that were not written before.
        """
        if ports.inventory is not None:
            await self._perform_local(ports.inventory)
        opened: list[Claimed] = []
        until = self.transaction.began + self._rules.lease_s
        for order_id in sorted(self._touched):
            before, after = self._before.get(order_id), self._orders[order_id]
            self.changes.orders.append(Change(before, after))
            opened += _new_operations(before, after, until)
        if self.changes.notifications:
            await ports.notifier.tell(self.changes.notifications)
        self.changes.dead_letters = [*await self.transaction.save(self.changes)]
        return opened

    async def _perform_local(self, inventory: LocalInventory) -> None:
        """Perform and settle inventory operations, and those that they open, until there are none."""
        settled: dict[OrderId, None] = {}
        touched: Iterable[OrderId] = self._touched
        for _ in range(LOCAL_ROUNDS_MAX):
            local = [
                (operation, self._orders[order_id])
                for order_id in touched
                for operation in self._orders[order_id].operations
                if operation.kind in INVENTORY_KINDS and operation.unfinished
            ]
            if not local:
                break
            context = self.context(None)
            calls = [inventory_call(order, operation, context) for operation, order in local]
            self._settle_local([operation for operation, _ in local], await inventory.perform(self.transaction, calls))
            touched = dict.fromkeys(order.order_id for _, order in local)
            settled |= touched
        else:
            raise AssertionError("local operations open each other without end")
        for order_id in settled:
            # No row for the operation: the hold, written in this transaction, is the record of what was performed.
            order = self._orders[order_id]
            remote = tuple(o for o in order.operations if o.kind not in INVENTORY_KINDS)
            self._orders[order_id] = replace(order, operations=remote)

    def _settle_local(self, operations: Sequence[Operation], answers: Sequence[InventoryAnswer]) -> None:
        # The number of the id: a UUID is hashed in Python, which is slow.
        outcomes = {answer.operation_id.int: answer.outcome for answer in answers}
        for operation in operations:
            order, settle = self._orders[operation.order_id], self._reactions[operation.reaction].settle
            context = self.context(operation.causation_id)
            self.apply(settle(order, operation, outcomes[operation.operation_id.int], context), operation.trace)


def trace_of(order: Order | None) -> Trace | None:
    """Return the context of an order's unfinished operations, of the first that has one."""
    if order is None or not order.operations:
        return None
    return next((o.trace for o in order.operations if o.trace is not None), None)


def traced(before: Order | None, after: Order, trace: Trace) -> Order:
    """Return the order with this context on the operations that it did not have before."""
    known = before.operations if before is not None else ()
    if after.operations is known:
        return after
    ids = {o.operation_id.int for o in known}
    return replace(
        after,
        operations=tuple([o if o.operation_id.int in ids else replace(o, trace=trace) for o in after.operations]),
    )


def inventory_call(order: Order, operation: Operation, context: Context) -> InventoryCall:
    """Build the call of an inventory operation."""
    hold = order.hold_of(operation.attempt)
    return InventoryCall(
        operation_id=operation.operation_id,
        kind=operation.kind,
        reservation_id=hold.reservation_id if hold else reservation_id(order.order_id, operation.attempt),
        lines=lines_of(order, operation),
        expires_at=context.after(context.rules.reservation_ttl_s),
        request_id=request_of(order, operation) if operation.kind is OperationKind.RESTOCK else None,
    )


def _new_operations(before: Order | None, after: Order, until: float) -> list[Claimed]:
    """Return the operations that were opened between these two states, with the end of their lease."""
    known = before.operations if before else ()
    if after.operations is known or not after.operations:
        return []
    known_ids = [o.operation_id for o in known]
    return [
        Claimed(o, after.attempts[o.attempt - 1].token, until)
        for o in after.operations
        if o.unfinished and o.operation_id not in known_ids
    ]
