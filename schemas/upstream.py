"""The events that others publish and we read. schemas.events has all of them, and says what they have in common."""

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.fields import (
    LINES_MAX,
    Amount,
    AnyCurrencyText,
    AskedAmount,
    Attempt,
    CorrelationText,
    CustomerText,
    Delta,
    Id,
    ReasonText,
    RequesterText,
    RequestIdText,
    SentenceText,
    SkuText,
)
from schemas.records import Event, Items, Line, PaymentMethod, UpstreamEvent


class OrderConfirmed(UpstreamEvent):
    """Checkout confirmed an order, and it must be paid. payment_method is None only if total_minor is 0."""

    TYPE: ClassVar[str] = "OrderConfirmed"

    customer_id: CustomerText
    currency: AnyCurrencyText
    lines: Annotated[tuple[Line, ...], Field(min_length=1, max_length=LINES_MAX)]
    discount_minor: Amount
    delivery_fee_minor: Amount
    service_fee_minor: Amount
    tax_minor: Amount = 0
    total_minor: Amount
    payment_method: PaymentMethod | None = None


class PaymentRetryRequested(UpstreamEvent):
    """The customer wants to pay with another method, after attempt `after_attempt` failed."""

    TYPE: ClassVar[str] = "PaymentRetryRequested"

    after_attempt: Attempt
    payment_method: PaymentMethod


class RefundRequested(UpstreamEvent):
    """Somebody asks to give back money of a paid order. amount_minor: None for all that is kept. lines: to restock."""

    TYPE: ClassVar[str] = "RefundRequested"

    request_id: RequestIdText
    amount_minor: AskedAmount | None = None
    reason: SentenceText
    lines: Items = ()
    requested_by: RequesterText


class OrderCancelRequested(UpstreamEvent):
    """Somebody asks to cancel the order. It may come before the order itself."""

    TYPE: ClassVar[str] = "OrderCancelRequested"

    request_id: RequestIdText
    reason: SentenceText
    requested_by: RequesterText


class PreparationStarted(UpstreamEvent):
    """Order preparation has begun: from now on the order is not cancelled."""

    TYPE: ClassVar[str] = "PreparationStarted"


class StockAdjusted(Event):
    """Units of a SKU came in at a warehouse or, negative, went out of it other than by an order."""

    TYPE: ClassVar[str] = "StockAdjusted"

    correlation_id: CorrelationText
    causation_id: Id | None = None
    sku: SkuText
    delta: Delta
    reason: ReasonText

    @property
    def subject(self) -> str:
        """The SKU."""
        return self.sku
