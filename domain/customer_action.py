"""The steps of a payment that somebody else must bring on: the customer (3-D Secure, a bank's page), or a slow bank.

An attempt that asked its customer fails only after it was cancelled at the gateway: until then it can still be paid.
"""

from typing import Final

from domain.case import Case
from domain.closing import close
from domain.decision import Decision, Draft, emit, silent
from domain.failure_codes import FailureCode
from domain.notifying import draft_notice
from domain.operating import open_operation
from domain.operation import OperationKind
from domain.order import Attempt, Order, Status
from domain.outcome import CustomerMustAct, Declined
from domain.payment import fail_payment, failure_fields, leave_review
from domain.values import replace
from schemas.events import ActionKind, CustomerActionRequired, MoneyState, NotificationKind, PaymentFailed, Stage

CONFIRM: Final = "Your bank asks you to confirm this payment. If you do not confirm it in time, it is cancelled."


def ask_customer(case: Case) -> Decision:
    """Move to action_required: the customer must confirm the payment with their bank, and has so long for it."""
    outcome = case.outcome_as(CustomerMustAct)
    expires_at = case.context.after(case.context.rules.action_timeout_s)
    attempt = replace(case.attempt, action_expires_at=expires_at)
    order = replace(case.order.with_attempt(attempt), status=Status.ACTION_REQUIRED)
    waiting = order.operation(case.call.operation_id)
    assert waiting is not None
    assert waiting.due_at is not None
    order = order.with_operation(replace(waiting, due_at=min(waiting.due_at, expires_at)))
    fields = {
        "customer_id": order.customer_id,
        "attempt": attempt.number,
        "transaction_id": attempt.transaction_id,
        "amount_minor": order.total_minor,
        "currency": order.currency,
        "kind": ActionKind.CONFIRM if outcome.url is None else ActionKind.REDIRECT,
        "url": outcome.url,
        "expires_at": expires_at,
    }
    # The message says nothing of the address: the storefront takes the customer there.
    notice = draft_notice(order, attempt, NotificationKind.ACTION_REQUIRED, CONFIRM, MoneyState.NONE)
    return emit(order, case.context, Draft(CustomerActionRequired, fields), notice)


def cancel_unconfirmed(case: Case) -> Decision:
    """Close the authorization that the customer did not confirm in time, and open a void of it, of no amount."""
    order = case.order.with_operation(close(case.call, case.outcome_as(CustomerMustAct), case.context))
    attempt = case.attempt
    return _cancel(case, order, replace(attempt, failure_code=attempt.failure_code or FailureCode.ACTION_EXPIRED))


def cancel_declined(case: Case) -> Decision:
    """Open a void, of no amount, of what was declined and could still be confirmed there, by the customer perhaps."""
    code = case.outcome_as(Declined).code
    return _cancel(case, case.order, replace(case.attempt, failure_code=code))


def fail_overdue(case: Case) -> Decision:
    """Move to payment_failed: the bank takes too long. The call stays pending, and money that still comes goes back."""
    return fail_payment(case.order, Stage.AUTHORIZE, FailureCode.PAYMENT_OVERDUE, case.context)


def end_overdue(case: Case) -> Decision:
    """End the review of an order that had failed before, and tell once more that it has failed: no money came."""
    order = leave_review(case.order, Status.PAYMENT_FAILED, case.context.at)
    code = order.current.failure_code or FailureCode.PAYMENT_OVERDUE
    return emit(order, case.context, Draft(PaymentFailed, {**failure_fields(order, code), "stage": Stage.AUTHORIZE}))


def _cancel(case: Case, order: Order, attempt: Attempt) -> Decision:
    order = order.with_attempt(attempt)
    return silent(open_operation(order, case.context, OperationKind.VOID, attempt, case.reaction, 0))
