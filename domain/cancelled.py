"""What is said of a cancelled order, and how a review of one ends."""

from domain.case import Case
from domain.decision import Decision, Draft, emit
from domain.operation import OperationKind
from domain.order import Order, Status
from domain.payment import leave_review
from domain.requests import Request, RequestKind, RequestState
from schemas.events import MoneyState, OrderCancelled


def end_cancelled_review(case: Case) -> Decision:
    """End the review of an order that was cancelled before, and tell once more that it is: no money came."""
    order = leave_review(case.order, Status.CANCELLED, case.context.at)
    done = next(r for r in order.requests if r.kind is RequestKind.CANCEL and r.state is RequestState.DONE)
    return emit(order, case.context, Draft(OrderCancelled, outcome_fields(order, done)))


def outcome_fields(order: Order, done: Request) -> dict[str, object]:
    """Return what OrderCancelled says. done: the request by which it was cancelled."""
    return {
        "customer_id": order.customer_id,
        "attempt": order.attempt,
        "request_id": done.request_id,
        "money": _money(order),
        "amount_minor": order.total_minor,
        "currency": order.currency,
    }


def _money(order: Order) -> MoneyState:
    """Return where the money of a cancelled order is: after a void none was taken."""
    if any(o.unfinished and o.kind is OperationKind.REFUND for o in order.operations):
        return MoneyState.RETURNING
    return MoneyState.RETURNED if order.current.refunded_minor else MoneyState.NONE
