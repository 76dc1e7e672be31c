"""Whether a customer may pay an order by another method now."""

from domain.operation import BESIDE_OTHERS
from domain.order import Order, Status
from domain.rules import Context
from schemas.events import Event


def is_too_old(event: Event, context: Context) -> bool:
    """Whether the event is so old that the gateway may have forgotten its keys."""
    return (context.at - event.occurred_at).total_seconds() > context.rules.order_max_age_s


def retry_refusal(order: Order, event: Event, context: Context) -> str | None:
    """Return why this order may not be paid by another method now (a public code); None if it may."""
    if order.status is Status.PAID_AND_CONFIRMED:
        return "already_paid"
    if order.effective_status is Status.CANCELLED or order.cancel is not None:
        return "cancelled"
    if order.status is not Status.PAYMENT_FAILED or any(
        o.unfinished and o.kind not in BESIDE_OTHERS for o in order.operations
    ):
        return "in_progress"
    if not order.retryable or order.retry_until is None:
        return "not_retryable"
    if order.attempt >= context.rules.attempts_max:
        return "too_many"
    # As for an order: no charge for a click that is so old that the gateway may have forgotten its keys.
    in_time = event.occurred_at < order.retry_until and not is_too_old(event, context)
    return None if in_time else "window_closed"
