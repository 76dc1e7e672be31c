"""Whether a customer may pay an order by another method now."""

from domain.order import Order, Status
from domain.rules import Context
from schemas.events import Event


def is_too_old(event: Event, context: Context) -> bool:
    """Tell whether the event is older than the gateway surely remembers keys."""
    return (context.at - event.occurred_at).total_seconds() > context.rules.order_max_age_s


def retry_refusal(order: Order, event: Event, context: Context) -> str | None:
    """Say why this order may not be paid by another method now (a code of the contract), None when it may."""
    if order.status is Status.PAID_AND_CONFIRMED:
        return "already_paid"
    if order.status is not Status.PAYMENT_FAILED or order.busy():
        return "in_progress"
    if not order.retryable or order.retry_until is None:
        return "not_retryable"
    if order.attempt >= context.rules.attempts_max:
        return "too_many"
    # As with an order: no charge for a click that is older than the gateway surely remembers keys.
    in_time = event.occurred_at < order.retry_until and not is_too_old(event, context)
    return None if in_time else "window_closed"
