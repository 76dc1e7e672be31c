"""What upstream publishes in these tests, as of now: 30.80 EUR for two of SKU-1 and one of SKU-2."""

from typing import Any
from uuid import UUID

from schemas.events import OrderConfirmed, PaymentMethod, PaymentMethodKind, PaymentRetryRequested
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


def method(token: str) -> PaymentMethod:
    return PaymentMethod(kind=PaymentMethodKind.CARD, token=token)


def other_id(of: str) -> UUID:
    """Derive another event id than the one that a builder gives."""
    return builders.event_id(f"another {of}")
