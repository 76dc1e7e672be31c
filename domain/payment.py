"""The steps of a payment that others hear of: authorized, reserved, paid, failed, and money given back.

Each takes the order with the outcome's money booked and returns the decision: new status, events, next operation.
"""

from domain.decision import Decision, Draft, emit, silent
from domain.failure_codes import FailureCode, may_retry, reason_of
from domain.operating import open_operation
from domain.operation import OperationKind
from domain.order import Attempt, Hold, HoldState, Operation, Order, Status, reservation_id
from domain.outcome import Declined, Missing, Outcome, Reserved
from domain.rules import Context
from domain.values import replace
from schemas.events import (
    CustomerNotificationRequested,
    ItemsReserved,
    MoneyState,
    NotificationKind,
    PaidAndConfirmed,
    PaymentAuthorized,
    PaymentFailed,
    PaymentRefunded,
    PaymentVoided,
    ReservationFailed,
    ShortageReason,
    Stage,
)


def authorized(order: Order, context: Context) -> Decision:
    """Move to payment_authorized."""
    attempt = order.current
    fields = {
        "attempt": attempt.number,
        "amount_minor": order.total_minor,
        "currency": order.currency,
        "transaction_id": attempt.transaction_id,
        "captured": attempt.captured,
        "authorization_expires_at": attempt.authorization_expires_at,
        "livemode": attempt.livemode,
    }
    return emit(replace(order, status=Status.PAYMENT_AUTHORIZED), context, Draft(PaymentAuthorized, fields))


def reserved(order: Order, outcome: Reserved, context: Context) -> Decision:
    """Move to items_reserved, with the hold."""
    hold = Hold(reservation_id(order.order_id, order.attempt), order.attempt, HoldState.HELD, outcome.expires_at)
    fields = {
        "attempt": order.attempt,
        "reservation_id": hold.reservation_id,
        "lines": _items(order),
        "expires_at": hold.expires_at,
    }
    order = _out_of_review(order.with_hold(hold), Status.ITEMS_RESERVED)
    return emit(order, context, Draft(ItemsReserved, fields))


def reservation_failed(order: Order, missing: tuple[Missing, ...], context: Context) -> Decision:
    """Move to reservation_failed; no missing items mean that the hold lapsed before the money was collected."""
    if not missing:
        reason, code = ShortageReason.LAPSED, FailureCode.RESERVATION_LAPSED
    elif any(m.available is None for m in missing):
        reason, code = ShortageReason.UNKNOWN_SKU, FailureCode.ITEMS_UNAVAILABLE
    else:
        reason, code = ShortageReason.SHORT, FailureCode.ITEMS_UNAVAILABLE
    order = replace(_out_of_review(order, Status.RESERVATION_FAILED), missing=missing)
    order = order.with_attempt(replace(order.current, failure_code=code))
    fields = {"attempt": order.attempt, "reason": reason, "missing": _missing(missing)}
    return emit(order, context, Draft(ReservationFailed, fields))


def paid(order: Order, context: Context) -> Decision:
    """Move to paid_and_confirmed: the hold is sold. Never revoked; the token is needed no more."""
    attempt, hold = order.current, order.hold_of(order.attempt)
    assert hold is not None
    order = order.with_hold(replace(hold, state=HoldState.SOLD)).with_attempt(replace(attempt, token=None))
    fields = {
        "customer_id": order.customer_id,
        "attempt": attempt.number,
        "amount_minor": order.total_minor,
        "currency": order.currency,
        "transaction_id": attempt.transaction_id,
        "reservation_id": hold.reservation_id,
        "lines": _items(order),
        "captured_at": attempt.captured_at or context.at,
        "livemode": attempt.livemode,
    }
    return emit(_out_of_review(order, Status.PAID_AND_CONFIRMED), context, Draft(PaidAndConfirmed, fields))


def payment_failed(order: Order, stage: Stage, code: FailureCode, context: Context, *before: Draft) -> Decision:
    """Move to payment_failed and tell the customer; `before` are the facts about money that led here."""
    attempt = order.current
    retryable = {Stage.AUTHORIZE: may_retry(code), Stage.CAPTURE: True}.get(stage, False)
    retry_until = context.after(context.rules.retry_window_s) if retryable else None
    order = replace(
        _out_of_review(order, Status.PAYMENT_FAILED), retryable=retryable, retry_until=retry_until
    ).with_attempt(replace(attempt, token=None, failure_code=code))
    fields = {
        "customer_id": order.customer_id,
        "attempt": attempt.number,
        "failure_code": code,
        "reason": reason_of(code),
        "amount_minor": order.total_minor,
        "currency": order.currency,
        "money": money_state(order, attempt),
        "retryable": retryable,
        "retry_until": retry_until,
    }
    kind = NotificationKind.ITEMS_UNAVAILABLE if stage is Stage.RESERVE else NotificationKind.PAYMENT_FAILED
    missing = _missing(order.missing) if stage is Stage.RESERVE else ()
    return emit(
        order,
        context,
        *before,
        Draft(PaymentFailed, {**fields, "stage": stage}),
        Draft(CustomerNotificationRequested, {**fields, "kind": kind, "missing": missing}),
    )


def money_state(order: Order, attempt: Attempt) -> MoneyState:
    """Say where the customer's money is: RETURNED only if we had taken it, NONE after a void or a decline."""
    returning = any(
        o.unfinished and o.kind is OperationKind.REFUND and o.attempt == attempt.number for o in order.operations
    )
    if returning:
        return MoneyState.RETURNING
    if attempt.kept_minor or attempt.held_minor:
        return MoneyState.HELD
    return MoneyState.RETURNED if attempt.refunded_minor else MoneyState.NONE


def give_back(order: Order, attempt: Attempt, context: Context, reaction: str) -> Decision:
    """Open the operation that returns exactly what this attempt moved: a refund if captured, else a void."""
    if attempt.kept_minor > 0:
        return silent(open_operation(order, context, OperationKind.REFUND, attempt, reaction, attempt.kept_minor))
    return silent(open_operation(order, context, OperationKind.VOID, attempt, reaction, attempt.held_minor))


def returned(order: Order, operation: Operation) -> tuple[Draft, ...]:
    """Say that money went back: PaymentVoided or PaymentRefunded, nothing while a refund is pending."""
    attempt = order.attempts[operation.attempt - 1]
    fields = {
        "attempt": attempt.number,
        "transaction_id": attempt.transaction_id,
        "amount_minor": operation.amount_minor,
        "currency": order.currency,
    }
    if operation.kind is OperationKind.VOID:
        return (Draft(PaymentVoided, fields),)
    if attempt.refunded_minor == 0:
        return ()
    # A gateway that names no refund knows it by the operation's id, which went along as metadata.
    refund_id = attempt.refund_id or str(operation.operation_id)
    return (Draft(PaymentRefunded, {**fields, "refund_id": refund_id}),)


def _out_of_review(order: Order, status: Status) -> Order:
    return replace(order, status=status, reviewed=None, review_reason=None)


def _items(order: Order) -> list[dict[str, object]]:
    return [{"sku": line.sku, "quantity": line.quantity} for line in order.lines]


def _missing(missing: tuple[Missing, ...]) -> list[dict[str, object]]:
    return [{"sku": m.sku, "requested": m.requested, "available": m.available} for m in missing]


def authorize_failed(order: Order, operation: Operation, outcome: Outcome, context: Context) -> Decision:
    """Fail at authorize: declined, or given back because nobody wanted the approval any more."""
    if operation.kind is OperationKind.AUTHORIZE:
        code = outcome.code if isinstance(outcome, Declined) else FailureCode.AUTHORIZATION_EXPIRED
        return payment_failed(order, Stage.AUTHORIZE, code, context)
    return payment_failed(
        order, Stage.AUTHORIZE, FailureCode.CANCELLED_BY_OPERATOR, context, *returned(order, operation)
    )


def capture_failed(order: Order, operation: Operation, context: Context) -> Decision:
    """Fail at capture: refused and given back since, or the authorization had lapsed."""
    if operation.kind in {OperationKind.VOID, OperationKind.REFUND}:
        return payment_failed(order, Stage.CAPTURE, FailureCode.CAPTURE_REFUSED, context, *returned(order, operation))
    return payment_failed(order, Stage.CAPTURE, FailureCode.AUTHORIZATION_EXPIRED, context)


def reserve_failed(order: Order, operation: Operation, context: Context) -> Decision:
    """Fail for lack of goods; the money is back or, while a refund is pending, on its way."""
    code = order.current.failure_code or FailureCode.ITEMS_UNAVAILABLE
    facts = returned(order, operation) if operation.kind in {OperationKind.VOID, OperationKind.REFUND} else ()
    return payment_failed(order, Stage.RESERVE, code, context, *facts)


def nothing_held(order: Order, context: Context) -> Decision:
    """Fail for lack of goods where no money was moved."""
    code = order.current.failure_code or FailureCode.ITEMS_UNAVAILABLE
    return payment_failed(order, Stage.RESERVE, code, context)
