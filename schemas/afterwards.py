"""Our events about what comes after a payment: cancelled, refused, refund failed, restocked, disputed.

schemas.events has all of them, and says what they have in common.
"""

from typing import ClassVar

from schemas.fields import (
    Amount,
    Attempt,
    CancellationRefusal,
    CodeText,
    CurrencyText,
    CustomerText,
    DisputeOutcome,
    Flag,
    MoneyState,
    ReferenceText,
    RefundRefusal,
    RequestIdText,
)
from schemas.records import Items, OwnEvent


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
