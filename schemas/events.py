"""The events, field by field as in schemas/avro. A test compares the two.

Amounts are in the minor unit of the currency beside them, quantities in whole units, times in UTC.
A value out of bounds raises pydantic's ValidationError, which names the field and never the value.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.fields import (
    LINES_MAX,
    ActionKind,
    Amount,
    AnyCurrencyText,
    AskedAmount,
    Attempt,
    CancellationRefusal,
    CodeText,
    CorrelationText,
    CurrencyText,
    CustomerText,
    Delta,
    DisputeOutcome,
    Flag,
    Id,
    Moment,
    MoneyState,
    NotificationKind,
    PaymentMethodKind,
    ReasonText,
    ReferenceText,
    RefundRefusal,
    RequesterText,
    RequestIdText,
    ReviewMoney,
    ReviewOperation,
    SentenceText,
    ShortageReason,
    SkuText,
    Stage,
    UrlText,
)
from schemas.records import (
    Event,
    Item,
    Line,
    MissingItem,
    OrderEvent,
    OwnEvent,
    PaymentMethod,
    Record,
    UpstreamEvent,
    validate,
)

__all__ = [
    "ActionKind",
    "CancellationRefusal",
    "CancellationRefused",
    "CustomerActionRequired",
    "CustomerNotificationRequested",
    "DisputeOutcome",
    "Event",
    "Item",
    "ItemsReserved",
    "ItemsRestocked",
    "Line",
    "MissingItem",
    "MoneyState",
    "NotificationKind",
    "OrderCancelRequested",
    "OrderCancelled",
    "OrderConfirmed",
    "OrderEvent",
    "OwnEvent",
    "PaidAndConfirmed",
    "PaymentAuthorized",
    "PaymentDisputeClosed",
    "PaymentDisputed",
    "PaymentFailed",
    "PaymentMethod",
    "PaymentMethodKind",
    "PaymentRefundFailed",
    "PaymentRefunded",
    "PaymentRetryRequested",
    "PaymentReviewRequired",
    "PaymentVoided",
    "PreparationStarted",
    "Record",
    "RefundRefusal",
    "RefundRefused",
    "RefundRequested",
    "ReservationFailed",
    "ReservationReleased",
    "ReviewMoney",
    "ReviewOperation",
    "ShortageReason",
    "Stage",
    "StockAdjusted",
    "UpstreamEvent",
    "validate",
]

Items = Annotated[tuple[Item, ...], Field(max_length=LINES_MAX)]
Missing = Annotated[tuple[MissingItem, ...], Field(max_length=LINES_MAX)]


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


class CustomerActionRequired(OwnEvent):
    """The customer must confirm the payment with their bank by expires_at. url: None if kind is not REDIRECT."""

    TYPE: ClassVar[str] = "CustomerActionRequired"

    customer_id: CustomerText
    attempt: Attempt
    transaction_id: ReferenceText
    amount_minor: Amount
    currency: CurrencyText
    kind: ActionKind
    url: UrlText | None = None
    expires_at: Moment


class PaymentAuthorized(OwnEvent):
    """The money is held, or was captured at once (captured), or nothing was to pay (no transaction)."""

    TYPE: ClassVar[str] = "PaymentAuthorized"

    attempt: Attempt
    amount_minor: Amount
    currency: CurrencyText
    transaction_id: ReferenceText | None = None
    captured: Flag
    authorization_expires_at: Moment | None = None
    livemode: Flag


class ItemsReserved(OwnEvent):
    """Every line is held for this attempt until expires_at."""

    TYPE: ClassVar[str] = "ItemsReserved"

    attempt: Attempt
    reservation_id: Id
    lines: Items
    expires_at: Moment


class ReservationFailed(OwnEvent):
    """The items cannot be held, and nothing is."""

    TYPE: ClassVar[str] = "ReservationFailed"

    attempt: Attempt
    reason: ShortageReason
    missing: Missing


class PaidAndConfirmed(OwnEvent):
    """The order is paid and its items are sold. Never revoked."""

    TYPE: ClassVar[str] = "PaidAndConfirmed"

    customer_id: CustomerText
    attempt: Attempt
    amount_minor: Amount
    currency: CurrencyText
    transaction_id: ReferenceText | None = None
    reservation_id: Id
    lines: Items
    captured_at: Moment
    livemode: Flag


class PaymentFailed(OwnEvent):
    """An attempt failed. reason: a sentence for the customer. retry_until: None if they may not pay again."""

    TYPE: ClassVar[str] = "PaymentFailed"

    customer_id: CustomerText
    attempt: Attempt
    stage: Stage
    failure_code: CodeText
    reason: SentenceText
    amount_minor: Amount
    currency: CurrencyText
    money: MoneyState
    retryable: Flag
    retry_until: Moment | None = None


class OrderCancelled(OwnEvent):
    """The order is cancelled, for good. amount_minor: its total. money: where the customer's money is."""

    TYPE: ClassVar[str] = "OrderCancelled"

    customer_id: CustomerText
    attempt: Attempt
    request_id: RequestIdText
    money: MoneyState
    amount_minor: Amount
    currency: CurrencyText


class CancellationRefused(OwnEvent):
    """The order is not cancelled: it goes on as if nobody had asked."""

    TYPE: ClassVar[str] = "CancellationRefused"

    customer_id: CustomerText
    request_id: RequestIdText
    reason: CancellationRefusal


class PaymentVoided(OwnEvent):
    """An authorization was given back before any money was captured."""

    TYPE: ClassVar[str] = "PaymentVoided"

    attempt: Attempt
    transaction_id: ReferenceText
    amount_minor: Amount
    currency: CurrencyText


class PaymentRefunded(OwnEvent):
    """Captured money was given back. request_id: None if nobody asked us for it."""

    TYPE: ClassVar[str] = "PaymentRefunded"

    attempt: Attempt
    transaction_id: ReferenceText
    refund_id: ReferenceText
    amount_minor: Amount
    currency: CurrencyText
    request_id: ReferenceText | None = None


class PaymentRefundFailed(OwnEvent):
    """A refund that had succeeded failed later. request_id: None if nobody asked for it. reason: the gateway's code."""

    TYPE: ClassVar[str] = "PaymentRefundFailed"

    attempt: Attempt
    refund_id: ReferenceText
    request_id: ReferenceText | None = None
    amount_minor: Amount
    currency: CurrencyText
    reason: CodeText


class RefundRefused(OwnEvent):
    """A refund that was asked for is not made. No money moved for it."""

    TYPE: ClassVar[str] = "RefundRefused"

    customer_id: CustomerText
    request_id: RequestIdText
    reason: RefundRefusal


class ItemsRestocked(OwnEvent):
    """Sold items were put back into stock."""

    TYPE: ClassVar[str] = "ItemsRestocked"

    request_id: RequestIdText
    lines: Items


class PaymentDisputed(OwnEvent):
    """A customer disputes a payment; again when the money is withdrawn, or a dispute that had ended is reopened."""

    TYPE: ClassVar[str] = "PaymentDisputed"

    customer_id: CustomerText
    attempt: Attempt
    transaction_id: ReferenceText
    dispute_id: ReferenceText
    amount_minor: Amount
    currency: CurrencyText
    reason: CodeText
    funds_withdrawn: Flag


class PaymentDisputeClosed(OwnEvent):
    """A dispute has ended. It may be opened again."""

    TYPE: ClassVar[str] = "PaymentDisputeClosed"

    customer_id: CustomerText
    attempt: Attempt
    transaction_id: ReferenceText
    dispute_id: ReferenceText
    amount_minor: Amount
    currency: CurrencyText
    reason: CodeText
    funds_withdrawn: Flag
    outcome: DisputeOutcome


class PaymentReviewRequired(OwnEvent):
    """A person has to look at this order. reason: a code of ours. amount_minor: the amount in question."""

    TYPE: ClassVar[str] = "PaymentReviewRequired"

    customer_id: CustomerText
    attempt: Attempt
    operation: ReviewOperation
    reason: CodeText
    money: ReviewMoney
    amount_minor: Amount
    currency: CurrencyText


class ReservationReleased(OwnEvent):
    """The hold of an attempt went back to the stock."""

    TYPE: ClassVar[str] = "ReservationReleased"

    attempt: Attempt
    reservation_id: Id


class CustomerNotificationRequested(OwnEvent):
    """The customer should get a message. failure_code and reason are None if nothing failed."""

    TYPE: ClassVar[str] = "CustomerNotificationRequested"

    customer_id: CustomerText
    attempt: Attempt
    kind: NotificationKind
    failure_code: CodeText | None = None
    reason: SentenceText | None = None
    amount_minor: Amount
    currency: CurrencyText
    money: MoneyState
    retryable: Flag
    retry_until: Moment | None = None
    missing: Missing
