"""Why a cancel is refused, as our events say it and as the customer reads it."""

from typing import Final

from domain.decision import Draft
from domain.notifying import draft_notice
from domain.order import Order
from domain.returning import money_state
from schemas.events import CancellationRefusal, CancellationRefused, NotificationKind

SENTENCES: Final[dict[CancellationRefusal, str]] = {
    CancellationRefusal.PREPARATION_STARTED: "It is being prepared for delivery already.",
    CancellationRefusal.TOO_LATE: "The time in which it could be cancelled is over.",
    CancellationRefusal.ALREADY_CANCELLED: "It is cancelled already.",
    CancellationRefusal.PAYMENT_FAILED: "Its payment has failed, so there is nothing to cancel.",
    CancellationRefusal.DISPUTED: "Its payment is disputed at your bank, which decides about the money.",
    CancellationRefusal.NOT_APPROVED: "It was not approved in time.",
}
"""For the customer, by the reason."""


def draft_refused(order: Order, request_id: str, reason: CancellationRefusal) -> Draft:
    """Draft CancellationRefused."""
    fields = {"customer_id": order.customer_id, "request_id": request_id, "reason": reason}
    return Draft(CancellationRefused, fields)


def draft_notice_of_refusal(order: Order, reason: CancellationRefusal) -> Draft:
    """Draft what the customer is told. Nothing happened to the money: it is where it was."""
    money = money_state(order, order.current)
    notice = draft_notice(order, order.current, NotificationKind.CANCELLATION_REFUSED, SENTENCES[reason], money)
    return Draft(notice.event, {**notice.fields, "failure_code": reason.value.lower()})
