"""What is the same for every reaction when an outcome comes: booking it, waiting, undoing, and asking a person."""

from typing import NamedTuple

from domain.answers import admit
from domain.booking import book
from domain.decision import NOTHING, Decision, Draft, emit, refuse, silent
from domain.ids import ReservationId
from domain.operating import close, given_up, postpone
from domain.operation import GATEWAY_KINDS, OperationKind
from domain.order import FINAL, Attempt, HoldState, Operation, Order, Status
from domain.outcome import Outcome
from domain.payment import give_back, money_state, returned
from domain.rules import Context
from domain.transitions import Step, Trigger, settled
from domain.values import replace
from schemas.events import (
    CustomerNotificationRequested,
    Event,
    MoneyState,
    NotificationKind,
    PaymentReviewRequired,
    ReservationReleased,
    ReviewMoney,
    ReviewOperation,
)
from schemas.rejection import Reason

DELAYED = "Your payment takes longer than usual. Please do not pay again; we will tell you how it ends."
REFUNDED = "Your money is on its way back to you."


class Judged(NamedTuple):
    """The step to take, the order with the outcome booked and the operation closed or put off, and that outcome."""

    step: Step
    order: Order
    outcome: Outcome


def judge(order: Order, operation: Operation, outcome: Outcome, context: Context) -> Judged:
    """Book what the outcome says of the money, then look up what it makes of the order.

    The outcome that is returned is what of the answer can be carried (domain.answers): use it, not the answer.
    """
    outcome = admit(operation, outcome)
    attempt = book(order.attempts[operation.attempt - 1], operation, outcome, context.at)
    if attempt is not order.attempts[operation.attempt - 1]:
        order = order.with_attempt(attempt)
    step = settled(order, attempt, operation.kind, outcome)
    waits = step in WAITING or (operation.kind is OperationKind.REFUND and type(outcome).__name__ == "Pending")
    done = postpone(operation, outcome, context) if waits else close(operation, outcome, context)
    return Judged(step, order.with_operation(done), outcome)


WAITING = frozenset({Step.UNKNOWN, Step.LATER, Step.PENDING})


def otherwise(step: Step, order: Order, operation: Operation, context: Context) -> Decision:
    """Take the steps that no reaction has for its own. Any other step here is a bug in a reaction."""
    attempt = order.attempts[operation.attempt - 1]
    match step:
        case Step.UNKNOWN | Step.LATER | Step.PENDING:
            return wait(order, operation, context)
        case Step.VOID | Step.REFUND:
            return give_back(order, attempt, context, operation.reaction)
        case Step.VOIDED:
            return emit(_settled_review(order), context, *returned(order, operation))
        case Step.REFUNDED:
            told = _notice(order, attempt, NotificationKind.REFUNDED, REFUNDED, MoneyState.RETURNED)
            return emit(_settled_review(order), context, *returned(order, operation), told)
        case Step.RELEASED:
            return released(order, operation, context)
        case Step.REVIEW:
            reason = "refund_failed" if operation.kind is OperationKind.REFUND else f"{operation.kind}_refused"
            return review(order, operation, reason, context)
        case Step.UNDO:
            return undo(order, attempt, operation, context)
        case _:
            raise AssertionError(f"{operation.reaction} met the step {step!r} of another reaction")


def wait(order: Order, operation: Operation, context: Context) -> Decision:
    """Leave the operation to the sweep; tell the customer once if it takes long, an operator if it never ends."""
    waiting = next(o for o in order.operations if o.operation_id == operation.operation_id)
    reason = given_up(waiting, context)
    if reason is not None:
        order = order.with_operation(replace(waiting, due_at=None))
        return review(order, waiting, reason, context)
    told = tell_delay(order, context)
    return silent(order) if told.order is None else told


def tell_delay(order: Order, context: Context) -> Decision:
    """Tell the customer not to pay again, once, when a payment takes long: its outcome unknown, or nobody to ask."""
    if order.delay_notified or order.status in FINAL:
        return NOTHING
    for operation in order.operations:
        age_s = (context.at - operation.opened_at).total_seconds()
        if operation.unfinished and operation.kind not in _QUIET and age_s >= context.rules.delayed_notice_s:
            attempt = order.attempts[operation.attempt - 1]
            context = replace(context, causation_id=operation.causation_id)
            notice = _notice(order, attempt, NotificationKind.PAYMENT_DELAYED, DELAYED, MoneyState.HELD)
            return emit(replace(order, delay_notified=True), context, notice)
    return NOTHING


_QUIET = frozenset({OperationKind.REFUND, OperationKind.RELEASE})
"""They take nothing from the customer, who need not be told not to pay."""


def released(order: Order, operation: Operation, context: Context) -> Decision:
    """Say that the goods of this attempt are free again."""
    hold = order.hold_of(operation.attempt)
    if hold is None or hold.state is not HoldState.HELD:
        return silent(order)
    order = order.with_hold(replace(hold, state=HoldState.RELEASED, pinned=False))
    if order.review_reason and order.review_reason.startswith(OperationKind.RELEASE):
        order = _settled_review(order)
    return emit(order, context, release_draft(operation.attempt, hold.reservation_id))


def release_draft(attempt: int, reservation_id: ReservationId) -> Draft:
    """Draft ReservationReleased."""
    return Draft(ReservationReleased, {"attempt": attempt, "reservation_id": reservation_id})


def undo(order: Order, attempt: Attempt, operation: Operation, context: Context) -> Decision:
    """Give back money that no status wants: of an older attempt, of a failed order, or found after a review."""
    unwanted = attempt.number != order.attempt or order.status in {Status.PAYMENT_FAILED, Status.MANUAL_REVIEW}
    if unwanted and (attempt.kept_minor > 0 or attempt.held_minor > 0) and not order.busy():
        return give_back(order, attempt, context, operation.reaction)
    return silent(order)


def review(order: Order, operation: Operation | None, reason: str, context: Context) -> Decision:
    """Hand the order to an operator, with what is known of the money."""
    attempt = order.attempts[operation.attempt - 1] if operation else order.current
    # What an inventory does not tell leaves no doubt about the money.
    called = operation if operation and operation.kind in GATEWAY_KINDS else None
    if called and reason.endswith("_unknown"):
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
    return replace(emit(order, context, Draft(PaymentReviewRequired, fields)), alarm=f"review_{reason}")


def _settled_review(order: Order) -> Order:
    """Return an order whose review was about money that is back now to the final status it had before."""
    if order.status is Status.MANUAL_REVIEW and order.reviewed in FINAL:
        return replace(order, status=order.effective_status, reviewed=None, review_reason=None)
    return order


def _notice(order: Order, attempt: Attempt, kind: NotificationKind, text: str, money: MoneyState) -> Draft:
    fields = {
        "customer_id": order.customer_id,
        "attempt": attempt.number,
        "kind": kind,
        "failure_code": None,
        "reason": text,
        "amount_minor": order.total_minor,
        "currency": order.currency,
        "money": money_state(order, attempt) if money is MoneyState.HELD else money,
        "retryable": False,
        "retry_until": None,
        "missing": (),
    }
    return Draft(CustomerNotificationRequested, fields)


def refuse_stray(trigger: Trigger, event: Event) -> Decision:
    """Refuse an event on a topic of ours that no decision of ours can have caused."""
    if trigger is Trigger.UNKNOWN_ORDER:
        return refuse(Reason.UNKNOWN_ORDER, f"there is no order {event.order_id}; who published this event?")
    return refuse(
        Reason.ILLEGAL_TRANSITION,
        f"{event.TYPE} speaks of a version or attempt that order {event.order_id} has not reached.",
    )
