"""Calls at an inventory elsewhere: what enters the request of one is frozen with its operation when it is opened."""

from datetime import datetime
from typing import Final
from uuid import UUID

from domain.ids import Namespace, OperationId, OrderId, ReservationId
from domain.lines import OrderLine
from domain.operation import Frozen, Operation, OperationKind, idempotency_key
from domain.order import Order, reservation_id
from domain.rules import Context, span
from domain.tracing import Trace
from domain.values import Value

RESTOCKS: Final = Namespace(UUID("b7d3f0f1-52a5-5a0c-9d6e-0d6a5a0f9c35"))
_HOLDS: Final = frozenset({OperationKind.RESERVE, OperationKind.EXTEND})


class StockCall(Value, frozen=True):
    """All parameters of a call at an inventory elsewhere. The same key always has the same parameters.

    reservation_id: of the hold. lines: what is held or put back, in whole units. until: when the hold shall lapse, for
    a reserve and an extend. restock_id, request_id: for a restock; the second is the customer's or operator's.
    trace: no part of the request; see GatewayCall.
    """

    operation_id: OperationId
    kind: OperationKind
    idempotency_key: str
    order_id: OrderId
    reservation_id: ReservationId
    lines: tuple[OrderLine, ...] = ()
    until: datetime | None = None
    restock_id: UUID | None = None
    request_id: str | None = None
    trace: Trace | None = None


def freeze_goods(
    kind: OperationKind, order: Order, context: Context, lines: tuple[OrderLine, ...] = ()
) -> Frozen | None:
    """Return what enters the request of a new operation about goods besides itself; None if there is nothing.

    lines: of a restock. Nothing is kept for an inventory in our own database: its operations have no row.
    """
    if not context.rules.inventory_elsewhere:
        return None
    if kind is OperationKind.RESTOCK:
        return Frozen(lines=lines)
    if kind not in _HOLDS:
        return None
    until = context.after(context.rules.reservation_ttl_s)
    return Frozen(lines=order.lines if kind is OperationKind.RESERVE else (), until=until)


def stock_call(operation: Operation) -> StockCall:
    """Build the call at the inventory from the operation's row alone."""
    frozen = operation.frozen or Frozen()
    order_id, attempt = operation.order_id, operation.attempt
    request_id = operation.for_request
    is_restock = operation.kind is OperationKind.RESTOCK
    return StockCall(
        operation_id=operation.operation_id,
        kind=operation.kind,
        idempotency_key=idempotency_key(order_id, attempt, operation.kind, operation.try_number, request_id),
        order_id=order_id,
        reservation_id=reservation_id(order_id, attempt),
        lines=frozen.lines,
        until=frozen.until,
        restock_id=restock_id(order_id, attempt, request_id) if is_restock else None,
        request_id=request_id if is_restock else None,
        trace=operation.trace,
    )


def restock_id(order_id: OrderId, attempt: int, request_id: str | None) -> UUID:
    """Derive the id of a restock. It does not depend on the try: what was put back is never put back again."""
    return RESTOCKS.derive(f"{attempt}:{len(request_id or '')}:{request_id or ''}:{order_id}")


def lasts_too_short(operation: Operation, context: Context) -> bool:
    """Whether half of the time for which an extension asks is over: then a new one must ask for longer."""
    until = operation.frozen.until if operation.frozen else None
    return until is None or until - context.at < span(context.rules.reservation_ttl_s / 2)
