"""The steps for an order under review that stood still, without a call in question: an operator's word moves it."""

from typing import Final

from domain.cancelling import carry_out
from domain.case import Case
from domain.decision import Decision
from domain.extending import extend
from domain.failure_codes import FailureCode
from domain.goods import capture, confirm, reserve
from domain.order import Order, Status
from domain.payment import cancel_undecided, fail_for_goods, fail_payment, fail_reservation, give_back
from domain.rules import Context
from domain.ruling import No, Word
from domain.values import replace
from schemas.events import Stage

OWNERS: Final = {
    Status.CONFIRMED: "authorize_payment",
    Status.ACTION_REQUIRED: "authorize_payment",
    Status.PAYMENT_AUTHORIZED: "reserve_items",
    Status.ITEMS_RESERVED: "capture_payment",
    Status.RESERVATION_FAILED: "return_payment",
}
"""The reaction that goes on with an order in this status."""


def go_on(order: Order, context: Context) -> Decision | No:
    """Take the next step of an order that stood still. Its last event may or may not come again."""
    order = replace(order, resends=0)
    status = order.effective_status
    attempt, hold = order.current, order.hold_of(order.attempt)
    case = Case(order, context, OWNERS.get(status, ""))
    match status:
        case Status.PAYMENT_AUTHORIZED:
            return reserve(case)
        case Status.ITEMS_RESERVED if hold is None or not hold.is_live(context.at):
            return fail_reservation(case)
        case Status.ITEMS_RESERVED if attempt.held_minor > 0:
            return (extend if context.rules.inventory_elsewhere else capture)(case)
        case Status.ITEMS_RESERVED:
            return confirm(case)
        case Status.RESERVATION_FAILED if attempt.held_minor > 0 or order.left_minor(attempt) > 0:
            return give_back(case)
        case Status.RESERVATION_FAILED:
            return fail_for_goods(case)
        case _:
            return No(f"it was {status}, from where nothing goes on by itself: --as {Word.NOT_EXECUTED} fails it")


def cancel(order: Order, context: Context) -> Decision | No:
    """Give back what was captured or is held; then the order fails."""
    if order.effective_status is Status.RESERVATION_FAILED:
        return go_on(order, context)
    if order.effective_status is Status.PAID_AND_CONFIRMED:
        return No("it was paid_and_confirmed, and that is never revoked: nothing of it is refused or unknown")
    attempt = replace(order.current, failure_code=FailureCode.CANCELLED_BY_OPERATOR)
    order = order.with_attempt(attempt)
    case = Case(order, context, OWNERS[Status.CONFIRMED])
    if attempt.held_minor > 0 or order.left_minor(attempt) > 0:
        return give_back(case)
    if order.effective_status is Status.ACTION_REQUIRED and order.review_reason == "stuck":
        return cancel_undecided(case)  # the customer may still confirm it
    return fail_payment(order, Stage.AUTHORIZE, FailureCode.CANCELLED_BY_OPERATOR, context)


def carry_out_cancel(order: Order, context: Context) -> Decision:
    """Carry out the cancel that was noted. What its customer could still confirm ends at the gateway first."""
    case = Case(order, context, OWNERS[Status.CONFIRMED])
    confirmable = order.effective_status is Status.ACTION_REQUIRED and order.review_reason == "stuck"
    return (cancel_undecided if confirmable else carry_out)(case)
