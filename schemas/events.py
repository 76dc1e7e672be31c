"""The events, field by field as in schemas/avro. A test compares the two.

Amounts are in the minor unit of the currency beside them, quantities in whole units, times in UTC.
A value out of bounds raises pydantic's ValidationError, which names the field and never the value.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from schemas.afterwards import (
    CancellationRefused,
    ItemsRestocked,
    OrderCancelled,
    PaymentDisputeClosed,
    PaymentDisputed,
    PaymentRefundFailed,
    RefundRefused,
)
from schemas.fields import (
    LINES_MAX,
    ActionKind,
    Amount,
    Attempt,
    CancellationRefusal,
    CodeText,
    CurrencyText,
    CustomerText,
    DisputeOutcome,
    Flag,
    Id,
    Moment,
    MoneyState,
    NotificationKind,
    PaymentMethodKind,
    ReferenceText,
    RefundRefusal,
    ReviewMoney,
    ReviewOperation,
    SentenceText,
    ShortageReason,
    Stage,
    UrlText,
)
from schemas.records import (
    Event,
    Item,
    Items,
    Line,
    MissingItem,
    OrderEvent,
    OwnEvent,
    PaymentMethod,
    Record,
    UpstreamEvent,
    validate,
)
from schemas.upstream import (
    OrderCancelRequested,
    OrderConfirmed,
    PaymentRetryRequested,
    PreparationStarted,
    RefundRequested,
    StockAdjusted,
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

Missing = Annotated[tuple[MissingItem, ...], Field(max_length=LINES_MAX)]


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
    """Every line is held for this attempt until expires_at. lines: of the order, added up per SKU and sorted by SKU."""

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
    """The order is paid and its items are sold. A cancel may follow. lines: as in ItemsReserved."""

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
