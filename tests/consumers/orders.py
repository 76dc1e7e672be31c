"""What upstream publishes in these tests, as of now: 30.80 EUR for two of SKU-1 and one of SKU-2."""

from typing import Any
from uuid import UUID

from schemas.events import (
    OrderCancelRequested,
    OrderConfirmed,
    PaymentMethod,
    PaymentMethodKind,
    PaymentRetryRequested,
    PreparationStarted,
    RefundRequested,
)
from tests.consumers.harness import now
from tests.schemas import builders

TOTAL_MINOR = 3_080
FREE: dict[str, Any] = {"discount_minor": 3_180, "payment_method": None}
"""A discount of all there is to pay."""


def order(order_id: str = "order-1", token: str = "pm_card_visa", **overrides: Any) -> OrderConfirmed:
    """Build one whose event id follows from the order id, so that the same order twice is the same event twice."""
    fields = {"order_id": order_id, "occurred_at": now(), "payment_method": method(token)}
    return builders.order_confirmed(**fields | overrides)


def retry(order_id: str = "order-1", token: str = "pm_card_visa", **overrides: Any) -> PaymentRetryRequested:
    fields = {"order_id": order_id, "occurred_at": now(), "payment_method": method(token)}
    return builders.payment_retry_requested(**fields | overrides)


def cancel(order_id: str = "order-1", request_id: str = "C-1", **overrides: Any) -> OrderCancelRequested:
    """Build a request to cancel. Its event id follows from order and request, so that the same twice is one event."""
    event_id = builders.event_id(f"cancel {request_id} of {order_id}")
    fields = {"order_id": order_id, "request_id": request_id, "event_id": event_id, "occurred_at": now()}
    return builders.order_cancel_requested(**fields | overrides)


def refund(
    order_id: str = "order-1", request_id: str = "R-1", amount_minor: int | None = None, **overrides: Any
) -> RefundRequested:
    """Build a request for money back, of all that is kept; the same request twice is one event."""
    event_id = builders.event_id(f"refund {request_id} of {order_id}")
    fields = {"order_id": order_id, "request_id": request_id, "event_id": event_id, "occurred_at": now()}
    return builders.refund_requested(**fields | {"amount_minor": amount_minor, "lines": ()} | overrides)


def preparation(order_id: str = "order-1", **overrides: Any) -> PreparationStarted:
    return builders.preparation_started(order_id=order_id, occurred_at=now(), **overrides)


def method(token: str) -> PaymentMethod:
    return PaymentMethod(kind=PaymentMethodKind.CARD, token=token)


def other_id(of: str) -> UUID:
    """Derive another event id than the one that a builder gives."""
    return builders.event_id(f"another {of}")
