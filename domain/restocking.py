"""Puts sold units back into stock: those that a refund names, or all that a cancelled order has left.

Of each line never more than was sold and is not back already. A refund that was ever taken has brought its lines back,
whatever became of its money.
"""

from collections import Counter
from typing import Final

from domain.case import Case
from domain.decision import Decision, Draft, emit, silent
from domain.extending import reserve_at_last
from domain.lines import OrderLine
from domain.operating import open_operation
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Hold, HoldState, Order, reservation_id
from domain.paid_review import end_review, leave_review
from domain.requests import Request, RequestKind, RequestState, find
from domain.reviewing import review
from domain.rules import Context
from domain.values import replace
from schemas.events import ItemsRestocked

OWNER: Final = "refund_payment"
"""Whose rows settle an operation that puts units back."""


def units_left(order: Order) -> Counter[str]:
    """Return by SKU the units that are sold and neither back nor on their way back."""
    hold = order.hold_of(order.attempt)
    if hold is None or hold.state is not HoldState.SOLD:
        return Counter()
    left = Counter({line.sku: line.quantity for line in order.lines})
    for request in order.requests:
        if request.kind is RequestKind.REFUND and request.taken_at is not None:
            left.subtract({line.sku: line.quantity for line in request.lines})
    return +left


def exceeds_sold(order: Order, request: Request) -> bool:
    """Whether the request names units that are not sold, or are back already."""
    left = units_left(order)
    return any(line.quantity > left[line.sku] for line in request.lines)


def open_restock(order: Order, request: Request, context: Context) -> Order:
    """Return the order with the operation that puts the request's units back."""
    return open_operation(
        order,
        context,
        OperationKind.RESTOCK,
        order.current,
        OWNER,
        0,
        lines=request.lines,
        for_request=request.request_id,
        asked_at=request.since,
    )


def restock_all(order: Order, context: Context, reaction: str) -> Order:
    """Return a cancelled order with the operation that puts back all that is still sold, if anything is."""
    under_way = any(
        o.kind is OperationKind.RESTOCK and o.for_request is None and o.unfinished and o.attempt == order.attempt
        for o in order.operations
    )
    if under_way or not units_left(order):
        return order
    lines = tuple(OrderLine(sku, units) for sku, units in sorted(units_left(order).items()))
    return open_operation(order, context, OperationKind.RESTOCK, order.current, reaction, 0, lines=lines)


def restock_sold(case: Case) -> Decision:
    """Put back all that the inventory has sold of an attempt whose goods nobody wants. End a review of its release.

    The confirm that sold them was taken for not executed, by an operator for example.
    """
    order, attempt, context = case.order, case.attempt, case.context
    if order.review_reason and order.review_reason.startswith(OperationKind.RELEASE):
        order = end_review(order)
    hold = order.hold_of(attempt.number) or Hold(
        reservation_id(order.order_id, attempt.number), attempt.number, HoldState.SOLD, context.at
    )
    if hold.state is HoldState.RESTOCKED or order.under_way(OperationKind.RESTOCK, attempt.number) is not None:
        return silent(order)
    order = order.with_hold(replace(hold, state=HoldState.SOLD, pinned=False))
    return silent(open_operation(order, context, OperationKind.RESTOCK, attempt, OWNER, 0, lines=order.lines))


def ask_about_restock(case: Case) -> Decision:
    """Ask an operator: the inventory refuses to take the units back. The call waits for the ruling."""
    order, call = case.order, case.call
    closed = next(o for o in order.operations if o.operation_id.int == call.operation_id.int)
    waiting = replace(closed, state=OperationState.OPEN, settled_at=None)
    return review(order.with_operation(waiting), waiting, f"{call.kind}_not_executed", case.context)


def lines_of(order: Order, operation: Operation) -> tuple[OrderLine, ...]:
    """Return what an operation at the inventory is about: every line of the order, or the units that come back."""
    if operation.kind is not OperationKind.RESTOCK:
        return order.lines
    if operation.frozen is not None and operation.frozen.lines:
        return operation.frozen.lines  # what an inventory elsewhere was asked for
    if operation.for_request is not None:
        request = find(order.requests, RequestKind.REFUND, operation.for_request)
        return request.lines if request is not None else ()
    return tuple(OrderLine(sku, units) for sku, units in sorted(units_left(order).items()))


def request_of(order: Order, operation: Operation) -> str:
    """Return the id of the request with which units come back: of the refund, or of the cancel that was carried out."""
    if operation.for_request is not None:
        return operation.for_request
    done = [r for r in order.requests if r.kind is RequestKind.CANCEL and r.state is RequestState.DONE]
    # Another cancel that waits behind the one that is noted will be refused.
    cancel = order.cancel or next(iter(done), None)
    return cancel.request_id if cancel is not None else str(order.order_id)


def end_restock(case: Case) -> Decision:
    """Emit that the units are back, and note it with the request, or with the hold of a cancelled order."""
    order, call = case.order, case.call
    fields = {
        "request_id": request_of(order, call),
        "lines": [{"sku": line.sku, "quantity": line.quantity} for line in lines_of(order, call)],
    }
    if call.for_request is None:
        hold = order.hold_of(call.attempt)
        assert hold is not None
        order = order.with_hold(replace(hold, state=HoldState.RESTOCKED))
    else:
        order = _note_all_back(end_request(order, call, case.context))
    if order.review_reason and order.review_reason.startswith(OperationKind.RESTOCK):
        order = end_review(order)
    order = reserve_at_last(order, case.context)
    return leave_review(emit(order, case.context, Draft(ItemsRestocked, fields)))


def _note_all_back(order: Order) -> Order:
    """Return the order with its hold restocked, if requests have brought all of its units back."""
    hold = order.hold_of(order.attempt)
    on_its_way = any(o.kind is OperationKind.RESTOCK and o.unfinished for o in order.operations)
    if hold is None or hold.state is not HoldState.SOLD or on_its_way or units_left(order):
        return order
    return order.with_hold(replace(hold, state=HoldState.RESTOCKED))


def end_request(order: Order, call: Operation, context: Context) -> Order:
    """Return the order with the refund that this call serves done, unless its money or goods are under way still."""
    request = None if call.for_request is None else find(order.requests, RequestKind.REFUND, call.for_request)
    if request is None or request.ended:
        return order
    if any(o.for_request == call.for_request and o.unfinished for o in order.operations):
        return order
    if request.returned_minor < (request.taken_minor or 0):
        return order
    return order.with_request(replace(request, state=RequestState.DONE, ended_at=context.at))
