"""Moves an order to manual review, with what is known of its money."""

from domain.decision import Decision, Draft, emit
from domain.operation import GATEWAY_KINDS, Operation, OperationKind
from domain.order import Order, Status
from domain.rules import Context
from domain.values import replace
from schemas.events import PaymentReviewRequired, ReviewMoney, ReviewOperation


def review(order: Order, operation: Operation | None, reason: str, context: Context, *before: Draft) -> Decision:
    """Move the order to manual review, with what is known of the money. before: events that are emitted first."""
    attempt = order.attempts[operation.attempt - 1] if operation else order.current
    # A call at the inventory leaves no doubt about the money.
    called = operation if operation and operation.kind in GATEWAY_KINDS else None
    undecided = called is not None and called.kind is OperationKind.VOID and called.amount_minor == 0
    if called and (reason.endswith("_unknown") or reason in _MONEY_UNKNOWN or undecided):
        money = ReviewMoney.UNKNOWN
    elif attempt.kept_minor > 0:
        money = ReviewMoney.CAPTURED
    else:
        money = ReviewMoney.HELD if attempt.held_minor > 0 else ReviewMoney.NONE
    fields = {
        "customer_id": order.customer_id,
        "attempt": attempt.number,
        "operation": ReviewOperation[called.kind.name] if called else ReviewOperation.NONE,
        "reason": reason,
        "money": money,
        "amount_minor": called.amount_minor if called else order.total_minor,
        "currency": order.currency,
    }
    reviewed = order.reviewed if order.status is Status.MANUAL_REVIEW else order.status
    order = replace(order, status=Status.MANUAL_REVIEW, reviewed=reviewed, review_reason=reason)
    return replace(emit(order, context, *before, Draft(PaymentReviewRequired, fields)), alarm=f"review_{reason}")


_MONEY_UNKNOWN = frozenset({"transaction_missing", "currency_differs", "authorize_overdue"})
"""Reasons of a review that leave open where the money is, beside those of calls without an answer."""
