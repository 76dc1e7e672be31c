"""A review of an order that was paid: which of its refunds needs a person, and when the review is over."""

from typing import Final

from domain.decision import Decision
from domain.operation import Operation, OperationKind, OperationState
from domain.order import Order, Status
from domain.requests import Request, RequestKind, RequestState, find
from domain.values import replace

_WERE_PAID: Final = frozenset({Status.PAID_AND_CONFIRMED, Status.CANCELLED})
_WERE_OVER: Final = _WERE_PAID | {Status.PAYMENT_FAILED}
_DOUBTS: Final = {OperationState.PENDING: "overdue", OperationState.OPEN: "not_executed"}


def request_of(order: Order, operation: Operation) -> Request | None:
    """Return the refund that somebody asked for and this operation serves."""
    return None if operation.for_request is None else find(order.requests, RequestKind.REFUND, operation.for_request)


def lacks_refund(order: Order, request: Request) -> bool:
    """Whether the request's money is owed, and no call is under way for it: the gateway refused, or it failed later."""
    return (
        request.kind is RequestKind.REFUND
        and request.state is RequestState.TAKEN
        and request.returned_minor < (request.taken_minor or 0)
        and not any(
            o.unfinished and o.kind is OperationKind.REFUND and o.for_request == request.request_id
            for o in order.operations
        )
    )


def leave_review(decision: Decision) -> Decision:
    """Return an order that was paid from its review, unless another of its refunds still needs a person."""
    order = decision.order
    if order is None or order.reviewed not in _WERE_PAID:
        return decision
    return replace(decision, order=end_review(order))


def end_review(order: Order) -> Order:
    """Return an order that was over from its review, unless something else of it still needs a person."""
    if order.status is not Status.MANUAL_REVIEW or order.reviewed not in _WERE_OVER:
        return order
    given_up = [o for o in order.operations if o.unfinished and o.due_at is None]
    if given_up:
        call = given_up[0]
        return replace(order, review_reason=f"{call.kind}_{_DOUBTS.get(call.state, 'unknown')}")
    if any(lacks_refund(order, request) for request in order.requests) or _keeps_unwanted(order):
        return replace(order, review_reason="refund_failed")
    return replace(order, status=order.effective_status, reviewed=None, review_reason=None)


def _keeps_unwanted(order: Order) -> bool:
    """Whether money is kept that was to go back, and no call is under way for it: the gateway refused.

    Another refund may be under way beside it. A paid order keeps the money of its last attempt alone.
    """
    taken = order.cancel is not None and order.cancel.state is RequestState.TAKEN
    paid_for_good = order.reviewed is Status.PAID_AND_CONFIRMED and not taken
    unwanted = (a for a in order.attempts if a.number != order.attempt or not paid_for_good)
    return any(order.left_minor(attempt) > 0 for attempt in unwanted)
