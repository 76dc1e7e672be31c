"""How an order begins: from OrderConfirmed, and again with each PaymentRetryRequested."""

from domain.content import content_hash
from domain.decision import NOTHING, Decision, Draft, emit, refuse, silent
from domain.failure_codes import FailureCode
from domain.ids import OrderId
from domain.operating import open_operation
from domain.operation import OperationKind
from domain.order import Attempt, Order, OrderLine, Status
from domain.payment import authorized, payment_failed
from domain.retries import retry_refusal
from domain.rules import Context
from domain.values import replace
from schemas.events import (
    CustomerNotificationRequested,
    MoneyState,
    NotificationKind,
    OrderConfirmed,
    PaymentRetryRequested,
    Stage,
)
from schemas.rejection import Reason

RETRY_REFUSALS = {
    "already_paid": "Your order is paid already.",
    "in_progress": "A payment for this order is still in progress. Please do not pay again.",
    "not_retryable": "This order cannot be paid with another method.",
    "too_many": "There were too many payment attempts for this order.",
    "window_closed": "The time to pay for this order has run out. Please order again.",
}


def order_of(event: OrderConfirmed, context: Context) -> Order:
    """Begin an order, with its first attempt and its lines added up per SKU, sorted."""
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
        lines=tuple(OrderLine(sku, quantity) for sku, quantity in sorted(quantities.items())),
        content_hash=context.content or content_hash(event),
        status=Status.CONFIRMED,
        version=0,
        attempt=1,
        created_at=context.at,
        attempts=(attempt,),
    )


def authorize(event: OrderConfirmed, context: Context, reaction: str) -> Decision:
    """Begin the order and ask for the first authorization."""
    order = order_of(event, context)
    return silent(open_operation(order, context, OperationKind.AUTHORIZE, order.current, reaction, order.total_minor))


def accept_free(event: OrderConfirmed, context: Context) -> Decision:
    """Begin an order that costs nothing: authorized at once, no gateway call."""
    order = order_of(event, context)
    return authorized(order.with_attempt(replace(order.current, livemode=context.rules.livemode)), context)


def expire(event: OrderConfirmed, context: Context) -> Decision:
    """Begin and end an order that is too old to be charged safely: the gateway may have forgotten its keys."""
    return payment_failed(order_of(event, context), Stage.AUTHORIZE, FailureCode.ORDER_EXPIRED, context)


def same_or_conflict(order: Order, event: OrderConfirmed, context: Context) -> Decision:
    """Take a repetition as no effect; the same order id with other content is refused, never charged."""
    if order.content_hash == (context.content or content_hash(event)):
        return NOTHING
    return refuse(
        Reason.CONFLICT,
        f"order {order.order_id} is known with other content; nothing was charged for this message. "
        "Publish a changed order under a new order id.",
    )


def retry(order: Order, event: PaymentRetryRequested, context: Context, reaction: str) -> Decision:
    """Begin the next attempt with the other method and ask for its authorization."""
    number = order.attempt + 1
    attempt = Attempt(number=number, method_kind=str(event.payment_method.kind), token=event.payment_method.token)
    order = replace(
        order,
        status=Status.CONFIRMED,
        attempt=number,
        attempts=(*order.attempts, attempt),
        retryable=False,
        retry_until=None,
        missing=(),
        delay_notified=False,
        resends=0,
    )
    return silent(open_operation(order, context, OperationKind.AUTHORIZE, attempt, reaction, order.total_minor))


def refuse_retry(order: Order, event: PaymentRetryRequested, context: Context) -> Decision:
    """Tell the customer why the order may not be paid again now; the order stays as it is."""
    code = retry_refusal(order, event, context) or "in_progress"
    fields = {
        "customer_id": order.customer_id,
        "attempt": order.attempt,
        "kind": NotificationKind.RETRY_REFUSED,
        "failure_code": code,
        "reason": RETRY_REFUSALS[code],
        "amount_minor": order.total_minor,
        "currency": order.currency,
        "money": MoneyState.NONE,
        "retryable": False,
        "retry_until": None,
        "missing": (),
    }
    return emit(order, context, Draft(CustomerNotificationRequested, fields))
