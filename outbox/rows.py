"""Rows to domain values and back. JSON columns hold lines and missing items in the order of their fields."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import orjson

from domain.failure_codes import FailureCode
from domain.ids import EventId, OperationId, OrderId, ReservationId
from domain.operation import OperationKind, OperationState
from domain.order import Attempt, Hold, HoldState, Operation, Order, OrderLine, Status
from domain.outcome import Missing

Row = tuple[Any, ...]
T = TypeVar("T")


def order_from(row: Row, attempts: list[Attempt], holds: list[Hold], operations: list[Operation]) -> Order:
    """Build an order from its rows; see statements.LOAD_ORDERS for the columns."""
    return Order(
        order_id=OrderId(row[0]),
        status=Status(row[1]),
        version=row[2],
        attempt=row[3],
        customer_id=row[4],
        correlation_id=row[5],
        currency=row[6],
        total_minor=row[7],
        lines=tuple(OrderLine(sku, quantity) for sku, quantity in row[8]),
        content_hash=bytes(row[9]),
        retryable=row[10],
        retry_until=row[11],
        reviewed=Status(row[12]) if row[12] else None,
        review_reason=row[13],
        missing=tuple(Missing(*m) for m in row[14] or ()),
        delay_notified=row[15],
        resends=row[16],
        created_at=row[17],
        attempts=tuple(attempts),
        holds=tuple(holds),
        operations=tuple(operations),
    )


def attempt_from(row: Row) -> Attempt:
    """Build an attempt; see statements.LOAD_ATTEMPTS."""
    failure_code = FailureCode(row[13]) if row[13] else None
    return Attempt(
        row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10], row[11], row[12], failure_code
    )


def hold_from(row: Row) -> Hold:
    """Build a hold; see statements.LOAD_HOLDS."""
    return Hold(ReservationId(row[1]), row[2], HoldState(row[3]), row[4], row[5])


def operation_from(row: Row) -> Operation:
    """Build an operation; see statements.OPERATION_COLUMNS."""
    return Operation(
        operation_id=OperationId(row[0]),
        order_id=OrderId(row[1]),
        attempt=row[2],
        kind=OperationKind(row[3]),
        try_number=row[4],
        reaction=row[5],
        causation_id=None if row[6] is None else EventId(row[6]),
        amount_minor=row[7],
        currency=row[8],
        opened_at=row[9],
        due_at=row[10],
        transaction_id=row[11],
        reference=row[12],
        state=OperationState(row[13]),
        tries=row[14],
        unknown_since=row[15],
        replayed=row[16],
        settled_at=row[17],
        detail=row[18],
        by=row[19],
        reason=row[20],
    )


def order_fixed(order: Order, number: int) -> Row:
    """Return what of an order never changes; see statements.ORDER_FIXED."""
    lines = orjson.dumps([(line.sku, line.quantity) for line in order.lines]).decode()
    return (
        order.customer_id,
        order.correlation_id,
        order.currency,
        order.total_minor,
        lines,
        order.content_hash,
        order.created_at,
        number,
    )


def order_state(order: Order, at: datetime) -> Row:
    """Return what of an order changes; see statements.ORDER_STATE."""
    missing = (
        orjson.dumps([(m.sku, m.requested, m.available) for m in order.missing]).decode() if order.missing else None
    )
    return (
        order.status,
        order.version,
        order.attempt,
        order.retryable,
        order.retry_until,
        order.reviewed,
        order.review_reason,
        missing,
        order.delay_notified,
        order.resends,
        at,
    )


def order_row(order: Order, number: int, at: datetime) -> Row:
    """Return a whole order; see statements.ORDER_KEY, ORDER_FIXED and ORDER_STATE."""
    return (order.order_id, *order_fixed(order, number), *order_state(order, at))


def attempt_state(a: Attempt) -> Row:
    """Return what of an attempt changes; see statements.ATTEMPT_STATE."""
    return (
        a.method_kind,
        a.token,
        a.transaction_id,
        a.authorized_minor,
        a.captured_minor,
        a.refunded_minor,
        a.voided,
        a.authorization_expires_at,
        a.captured_at,
        a.livemode,
        a.refund_id,
        a.failure_code,
    )


def operation_key(o: Operation, number: int) -> Row:
    """Return the key of an operation, with its order's number; see statements.OPERATION_KEY."""
    return (number, o.attempt, o.kind, o.try_number)


def operation_fixed(o: Operation) -> Row:
    """Return what of an operation never changes; see statements.OPERATION_FIXED."""
    return (o.order_id, o.operation_id, o.reaction, o.causation_id, o.amount_minor, o.currency, o.opened_at)


def operation_state(o: Operation) -> Row:
    """Return what of an operation changes; see statements.OPERATION_STATE."""
    return (
        o.state,
        o.transaction_id,
        o.reference,
        o.tries,
        o.due_at,
        o.unknown_since,
        o.replayed,
        o.settled_at,
        o.detail,
        o.by,
        o.reason,
    )


def hold_state(h: Hold) -> Row:
    """Return what of a hold changes; see statements.HOLD_STATE."""
    return (h.state, h.expires_at, h.pinned)


def group_by_order(rows: list[Row], build: Callable[[Row], T], position: int = 0) -> dict[str, list[T]]:
    """Group what is built from rows by the order id at this position of the row."""
    grouped: dict[str, list[T]] = {}
    for row in rows:
        grouped.setdefault(row[position], []).append(build(row))
    return grouped
