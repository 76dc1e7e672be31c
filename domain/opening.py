"""The steps that begin an order (OrderConfirmed) and its further attempts (PaymentRetryRequested)."""

from datetime import datetime

from domain.case import Case
from domain.content import content_hash
from domain.decision import NOTHING, Decision, Draft, emit, refuse, silent
from domain.failure_codes import FailureCode
from domain.ids import OrderId
from domain.operating import open_operation
from domain.operation import OperationKind
from domain.order import Attempt, Order, OrderLine, Status
from domain.payment import fail_payment, mark_authorized
from domain.retries import retry_refusal
from domain.returning import money_state
from domain.rules import Context
from domain.values import replace
from schemas.events import (
    CustomerNotificationRequested,
    NotificationKind,
    OrderConfirmed,
    PaymentMethod,
    PaymentRetryRequested,
    Stage,
)
from schemas.rejection import Reason

RETRY_REFUSALS = {
    "already_paid": "Your order is paid already.",
    "cancelled": "Your order is cancelled. Please order again.",
    "in_progress": "A payment for this order is still in progress. Please do not pay again.",
    "not_retryable": "This order cannot be paid with another method.",
    "too_many": "There were too many payment attempts for this order.",
    "window_closed": "The time to pay for this order has run out. Please order again.",
}
FIRST_WAITS = (
    "A payment for this order waits for your bank's confirmation. Please confirm it, or wait for our message that it "
    "has ended before you pay again."
)
"""In place of `in_progress`, for a customer who was asked: not to pay is not what they should do."""


def begin_order(event: OrderConfirmed, context: Context) -> Order:
    """Create an order with its first attempt. Its lines are added up per SKU and sorted."""
    quantities: dict[str, int] = {}
    for line in event.lines:
        quantities[line.sku] = quantities.get(line.sku, 0) + line.quantity
    method = event.payment_method
    attempt = Attempt(
        number=1, method_kind=str(method.kind) if method else "NONE", token=method.token if method else None
    )
    return Order(
        order_id=OrderId(event.order_id),
        customer_id=event.customer_id,
        correlation_id=event.correlation_id,
        currency=event.currency,
        total_minor=event.total_minor,
        lines=tuple([OrderLine(sku, quantity) for sku, quantity in sorted(quantities.items())]),
        content_hash=context.content or content_hash(event),
        status=Status.CONFIRMED,
        version=0,
        attempt=1,
        created_at=context.at,
        attempts=(attempt,),
        confirmed_at=_confirmed_at(event, context),
    )


def _confirmed_at(event: OrderConfirmed, context: Context) -> datetime:
    """Return when the order came onto its topic: never before it occurred, never in the future.

    Publishers may write any time-stamp into a message.
    """
    recorded = context.recorded_at
    since = event.occurred_at if recorded is None else max(recorded, event.occurred_at)
    return min(since, context.at)


def authorize(case: Case) -> Decision:
    """Begin the order and ask for the first authorization."""
    event = case.event_as(OrderConfirmed)
    return _ask(begin_order(event, case.context), event.payment_method, case)


def accept_free(case: Case) -> Decision:
    """Begin an order that costs nothing: it is authorized at once, without a gateway call."""
    order = begin_order(case.event_as(OrderConfirmed), case.context)
    attempt = replace(order.current, livemode=case.context.rules.livemode)
    return mark_authorized(replace(case, order=order.with_attempt(attempt)))


def expire(case: Case) -> Decision:
    """Begin and fail an order that is too old to be charged safely: the gateway may have forgotten its keys."""
    order = begin_order(case.event_as(OrderConfirmed), case.context)
    return fail_payment(order, Stage.AUTHORIZE, FailureCode.ORDER_EXPIRED, case.context)


def take_repetition(case: Case) -> Decision:
    """Ignore a repetition. Refuse the same order id with other content; it is never charged."""
    order, event = case.order, case.event_as(OrderConfirmed)
    if order.content_hash == (case.context.content or content_hash(event)):
        return NOTHING
    return refuse(
        Reason.CONFLICT,
        f"order {order.order_id} is known with other content; nothing was charged for this message. "
        "Publish a changed order under a new order id.",
    )


def retry(case: Case) -> Decision:
    """Begin the next attempt, with the other payment method, and ask for its authorization."""
    order, method = case.order, case.event_as(PaymentRetryRequested).payment_method
    attempt = Attempt(number=order.attempt + 1, method_kind=str(method.kind), token=method.token)
    order = replace(
        order,
        status=Status.CONFIRMED,
        attempt=attempt.number,
        attempts=(*order.attempts, attempt),
        retryable=False,
        retry_until=None,
        missing=(),
        delay_notified=False,
        resends=0,
        disputed=False,
    )
    return _ask(order, method, case)


def refuse_retry(case: Case) -> Decision:
    """Tell the customer why the order may not be paid again now; the order stays as it is."""
    order = case.order
    code = retry_refusal(order, case.event_as(PaymentRetryRequested), case.context) or "in_progress"
    asked = order.status is Status.ACTION_REQUIRED
    fields = {
        "customer_id": order.customer_id,
        "attempt": order.attempt,
        "kind": NotificationKind.RETRY_REFUSED,
        "failure_code": code,
        "reason": FIRST_WAITS if code == "in_progress" and asked else RETRY_REFUSALS[code],
        "amount_minor": order.total_minor,
        "currency": order.currency,
        "money": money_state(order, order.current),
        "retryable": False,
        "retry_until": None,
        "missing": (),
    }
    return emit(order, case.context, Draft(CustomerNotificationRequested, fields))


def refuse_early_retry(case: Case) -> Decision:
    """Refuse a retry after an attempt that does not exist."""
    after = case.event_as(PaymentRetryRequested).after_attempt
    return refuse(
        Reason.ILLEGAL_TRANSITION,
        f"after_attempt {after} has not happened; the order is at attempt {case.order.attempt}.",
    )


def _ask(order: Order, method: PaymentMethod | None, case: Case) -> Decision:
    kind, amount = OperationKind.AUTHORIZE, order.total_minor
    return silent(open_operation(order, case.context, kind, order.current, case.reaction, amount, method=method))
