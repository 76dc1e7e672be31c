"""The steps of a payment that emit events: authorized, reserved, paid, failed; and giving money back.

Each takes a case, with the outcome's money booked, and returns the decision: new status, events, next operation.
"""

from datetime import datetime

from domain.case import Case
from domain.decision import Decision, Draft, emit, silent
from domain.extending import lapse
from domain.failure_codes import FailureCode, may_retry, reason_of
from domain.operating import next_number, open_operation
from domain.operation import BESIDE_OTHERS, OperationKind, OperationState
from domain.order import Attempt, Hold, HoldState, Order, Status, reservation_id
from domain.outcome import Declined, Missing, OtherAmount, Reserved, Short
from domain.returning import RETURNS, draft_return, money_state
from domain.rules import Context
from domain.values import replace
from schemas.events import (
    CustomerNotificationRequested,
    ItemsReserved,
    NotificationKind,
    PaidAndConfirmed,
    PaymentAuthorized,
    PaymentFailed,
    ReservationFailed,
    ShortageReason,
    Stage,
)


def mark_authorized(case: Case) -> Decision:
    """Move to payment_authorized."""
    order, attempt = case.order, case.order.current
    fields = {
        "attempt": attempt.number,
        "amount_minor": order.total_minor,
        "currency": order.currency,
        "transaction_id": attempt.transaction_id,
        "captured": attempt.captured,
        "authorization_expires_at": attempt.authorization_expires_at,
        "livemode": attempt.livemode,
    }
    return emit(replace(order, status=Status.PAYMENT_AUTHORIZED), case.context, Draft(PaymentAuthorized, fields))


def mark_reserved(case: Case) -> Decision:
    """Move to items_reserved, with the hold."""
    order, expires_at = case.order, case.outcome_as(Reserved).expires_at
    hold = Hold(reservation_id(order.order_id, order.attempt), order.attempt, HoldState.HELD, expires_at)
    fields = {
        "attempt": order.attempt,
        "reservation_id": hold.reservation_id,
        "lines": _items(order),
        "expires_at": hold.expires_at,
    }
    order = leave_review(order.with_hold(hold), Status.ITEMS_RESERVED, case.context.at)
    return emit(order, case.context, Draft(ItemsReserved, fields))


def fail_reservation(case: Case) -> Decision:
    """Move to reservation_failed: items are missing, or the hold expired before the capture."""
    missing = case.outcome.missing if isinstance(case.outcome, Short) else ()
    if not missing:
        reason, code = ShortageReason.LAPSED, FailureCode.RESERVATION_LAPSED
    elif any(m.available is None for m in missing):
        reason, code = ShortageReason.UNKNOWN_SKU, FailureCode.ITEMS_UNAVAILABLE
    else:
        reason, code = ShortageReason.SHORT, FailureCode.ITEMS_UNAVAILABLE
    order = replace(leave_review(case.order, Status.RESERVATION_FAILED, case.context.at), missing=missing)
    order = order.with_attempt(replace(order.current, failure_code=code))
    fields = {"attempt": order.attempt, "reason": reason, "missing": _missing(missing)}
    return emit(order, case.context, Draft(ReservationFailed, fields))


def fail_lapsed(case: Case) -> Decision:
    """Move to reservation_failed: the inventory did not extend the hold, so nothing was captured."""
    return fail_reservation(replace(case, order=lapse(case.order, case.call.attempt, case.context.at)))


def fail_uncaptured(case: Case) -> Decision:
    """Move to reservation_failed: the hold ran out before the capture began. Close it; what is held is voided next.

    A late copy of the capture does no harm: the void then finds the money captured, and it is refunded.
    """
    ended = replace(case.call, state=OperationState.NOT_EXECUTED, settled_at=case.context.at, due_at=None)
    return fail_reservation(replace(case, order=case.order.with_operation(ended)))


def mark_paid(case: Case) -> Decision:
    """Move to paid_and_confirmed: the hold is sold. Never revoked."""
    order = case.order
    attempt, hold = order.current, order.hold_of(order.attempt)
    assert hold is not None
    order = order.with_hold(replace(hold, state=HoldState.SOLD))
    fields = {
        "customer_id": order.customer_id,
        "attempt": attempt.number,
        "amount_minor": order.total_minor,
        "currency": order.currency,
        "transaction_id": attempt.transaction_id,
        "reservation_id": hold.reservation_id,
        "lines": _items(order),
        "captured_at": attempt.captured_at or case.context.at,
        "livemode": attempt.livemode,
    }
    order = replace(leave_review(order, Status.PAID_AND_CONFIRMED, case.context.at), paid_at=case.context.at)
    return emit(order, case.context, Draft(PaidAndConfirmed, fields))


def fail_at_authorize(case: Case) -> Decision:
    """Move to payment_failed: declined, or the approval came too late and was given back."""
    if case.call.kind is OperationKind.AUTHORIZE:
        code = case.outcome.code if isinstance(case.outcome, Declined) else _code_of_lapse(case)
        return fail_payment(case.order, Stage.AUTHORIZE, code, case.context)
    code = case.attempt.failure_code or FailureCode.CANCELLED_BY_OPERATOR
    return fail_payment(case.order, Stage.AUTHORIZE, code, case.context, *draft_return(case))


def _code_of_lapse(case: Case) -> FailureCode:
    """Of what the customer had still to confirm, no approval ran out: it was cancelled, before their time was over."""
    if case.order.effective_status is not Status.ACTION_REQUIRED:
        return FailureCode.AUTHORIZATION_EXPIRED
    expires_at = case.attempt.action_expires_at
    had_time = expires_at is not None and case.context.at < expires_at
    return FailureCode.CANCELLED_BY_OPERATOR if had_time else FailureCode.ACTION_EXPIRED


def fail_at_capture(case: Case) -> Decision:
    """Move to payment_failed: the capture was refused and the money given back, or the authorization lapsed."""
    given_back = case.call.kind in RETURNS
    code = FailureCode.CAPTURE_REFUSED if given_back else FailureCode.AUTHORIZATION_EXPIRED
    return fail_payment(case.order, Stage.CAPTURE, code, case.context, *draft_return(case))


def fail_returned(case: Case) -> Decision:
    """Move to payment_failed: somebody gave the money back at the gateway before the order was paid."""
    stage = Stage.AUTHORIZE if case.call.kind is OperationKind.AUTHORIZE else Stage.CAPTURE
    return fail_payment(case.order, stage, FailureCode.CANCELLED_BY_OPERATOR, case.context, *draft_return(case))


def fail_for_goods(case: Case) -> Decision:
    """Move to payment_failed because goods are missing. The money is back, or surely on its way."""
    code = case.order.current.failure_code or FailureCode.ITEMS_UNAVAILABLE
    return fail_payment(case.order, Stage.RESERVE, code, case.context, *draft_return(case))


def give_back(case: Case) -> Decision:
    """Open a refund of what this attempt captured, else a void of what it holds: exactly that amount."""
    order, attempt = case.order, case.attempt
    left = order.left_minor(attempt)
    kind, amount = (OperationKind.REFUND, left) if left > 0 else (OperationKind.VOID, attempt.held_minor)
    return silent(open_operation(order, case.context, kind, attempt, case.reaction, amount))


def cancel_undecided(case: Case) -> Decision:
    """Open a void of a transaction that nobody has decided on: only then may the order be paid by another method.

    Its amount is 0, for we hold nothing as far as we know. If the gateway approves meanwhile, the void frees it.
    """
    attempt = case.attempt
    return silent(open_operation(case.order, case.context, OperationKind.VOID, attempt, case.reaction, 0))


def void_again(case: Case) -> Decision:
    """Open the void once more as the next try: the old key holds an old refusal."""
    call = case.call
    return silent(
        open_operation(
            case.order,
            case.context,
            OperationKind.VOID,
            case.attempt,
            case.reaction,
            call.amount_minor,
            try_number=next_number(case.order, case.attempt, OperationKind.VOID),
        )
    )


def void_anew(case: Case) -> Decision:
    """Open the void once more as the next try, and close this one: its key is forgotten, and it had no effect."""
    ended = replace(case.call, state=OperationState.NOT_EXECUTED, settled_at=case.context.at, due_at=None)
    return void_again(replace(case, order=case.order.with_operation(ended)))


def refund_anew(case: Case) -> Decision:
    """Open the refund once more as the next try, and close this one, which the gateway had refused."""
    ended = replace(case.call, state=OperationState.NOT_EXECUTED, settled_at=case.context.at, due_at=None)
    order, attempt, refund = case.order.with_operation(ended), case.attempt, OperationKind.REFUND
    amount, number = order.left_minor(attempt), next_number(order, attempt, refund)
    return silent(open_operation(order, case.context, refund, attempt, case.reaction, amount, number))


def take_late_approval(case: Case) -> Decision:
    """Move to payment_authorized after all: what we wanted to cancel was captured meanwhile, with the right amount."""
    order = leave_review(case.order, Status.PAYMENT_AUTHORIZED, case.context.at)
    # The refused void does not say whether the money was real; our key does.
    livemode = case.context.rules.livemode
    order = order.with_attempt(replace(case.attempt, failure_code=None, livemode=livemode))
    return mark_authorized(Case(order, case.context, case.reaction, None, case.operation, case.outcome))


def give_back_other_amount(case: Case) -> Decision:
    """Give back an approval of another amount than we asked for, and tell an operator."""
    assert isinstance(case.outcome, OtherAmount)
    return replace(give_back(case), alarm="amount_differs")


def give_back_rest(case: Case) -> Decision:
    """Emit what went back, and open a refund of the rest.

    After a refund it is the next try: the old key holds the old answer.
    """
    attempt = case.attempt
    order = open_operation(
        case.order,
        case.context,
        OperationKind.REFUND,
        attempt,
        case.reaction,
        case.order.left_minor(attempt),
        try_number=next_number(case.order, attempt, OperationKind.REFUND),
    )
    return emit(order, case.context, *draft_return(case))


def fail_payment(order: Order, stage: Stage, code: FailureCode, context: Context, *before: Draft) -> Decision:
    """Move to payment_failed and notify the customer. before: events about the money, emitted first."""
    attempt = order.current
    retryable = {Stage.AUTHORIZE: may_retry(code), Stage.CAPTURE: True}.get(stage, False)
    retry_until = context.after(context.rules.retry_window_s) if retryable else None
    order = replace(
        leave_review(order, Status.PAYMENT_FAILED, context.at), retryable=retryable, retry_until=retry_until
    ).with_attempt(replace(attempt, failure_code=code))
    fields = failure_fields(order, code)
    kind = NotificationKind.ITEMS_UNAVAILABLE if stage is Stage.RESERVE else NotificationKind.PAYMENT_FAILED
    missing = _missing(order.missing) if stage is Stage.RESERVE else ()
    return emit(
        order,
        context,
        *before,
        Draft(PaymentFailed, {**fields, "stage": stage}),
        Draft(CustomerNotificationRequested, {**fields, "kind": kind, "missing": missing}),
    )


def _was_away(order: Order, attempt: Attempt) -> bool:
    """Whether the customer was away when the bank was asked. Known while the decline is settled, which is enough."""
    asked = (o.frozen for o in order.operations if o.attempt == attempt.number and o.kind is OperationKind.AUTHORIZE)
    return any(frozen is not None and frozen.off_session for frozen in asked)


def failure_fields(order: Order, code: FailureCode) -> dict[str, object]:
    """Return what PaymentFailed and its notice say of a failed order, except the stage."""
    attempt = order.current
    return {
        "customer_id": order.customer_id,
        "attempt": attempt.number,
        "failure_code": code,
        "reason": reason_of(code, away=_was_away(order, attempt)),
        "amount_minor": order.total_minor,
        "currency": order.currency,
        "money": money_state(order, attempt),
        "retryable": order.retryable,
        "retry_until": order.retry_until,
    }


def leave_review(order: Order, status: Status, at: datetime) -> Order:
    """Return the order in this status, and no longer under review.

    A call about goods that was given up meanwhile is made again: no person is asked about it now. It has as much time
    as a new one before it brings the order back to review.
    """
    if order.status is Status.MANUAL_REVIEW:
        for call in order.operations:
            if call.unfinished and call.due_at is None and call.kind in BESIDE_OTHERS:
                since = None if call.unknown_since is None else at
                order = order.with_operation(replace(call, due_at=at, tries=0, unknown_since=since))
    return replace(order, status=status, reviewed=None, review_reason=None)


def _items(order: Order) -> list[dict[str, object]]:
    return [{"sku": line.sku, "quantity": line.quantity} for line in order.lines]


def _missing(missing: tuple[Missing, ...]) -> list[dict[str, object]]:
    return [{"sku": m.sku, "requested": m.requested, "available": m.available} for m in missing]
