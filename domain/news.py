"""What the gateway says of one transaction, asked for after it told something unasked. Values only.

Amounts are in ISO 4217 minor units. Codes are the gateway's words.
"""

from datetime import datetime, timedelta
from typing import Final, Literal

from domain.values import Value

RefundWord = Literal["succeeded", "pending", "failed"]
LAG_MAX: Final = timedelta(minutes=15)
"""So long an answer of the gateway may lack what it has told or answered before. Far above what was seen."""


class Dispute(Value, frozen=True):
    """A customer disputes a payment at their bank. status, reason: the gateway's words.

    funds_withdrawn: the money has been taken from us and not given back. refundable: whether the payment may still be
    refunded; the gateway says so, and it cannot be derived. opened_at: by the gateway's clock.
    """

    dispute_id: str
    transaction_id: str
    status: str
    amount_minor: int
    currency: str
    reason: str
    funds_withdrawn: bool
    refundable: bool
    opened_at: datetime


class SeenRefund(Value, frozen=True):
    """A refund of the transaction. operation_id: ours, from its metadata; None: somebody else made it.

    reason: why it failed, a code.
    """

    refund_id: str
    operation_id: str | None
    state: RefundWord
    amount_minor: int
    currency: str
    reason: str = "unknown"


class TransactionNews(Value, frozen=True):
    """One transaction as the gateway has it now. order_id, operation_id: from its metadata; None: it is not ours.

    held_minor: approved and neither captured nor cancelled. refunds: all of them that move money, the oldest first.
    freed: ids of those that only let go what was held.
    """

    transaction_id: str
    order_id: str | None
    operation_id: str | None
    currency: str
    held_minor: int = 0
    captured_minor: int = 0
    cancelled: bool = False
    refunds: tuple[SeenRefund, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    freed: tuple[str, ...] = ()

    @property
    def returned_minor(self) -> int:
        """What has reached the customer again, whoever sent it."""
        return sum(refund.amount_minor for refund in self.refunds if refund.state == "succeeded")


class RefundFailure(Value, frozen=True):
    """A refund of ours that is not, or not any more, on its way to the customer.

    operation_id: as text, from its metadata. amount_minor: in ISO 4217 minor units. reason: the gateway's code. news:
    of its transaction; None if a list told of the refund alone.
    """

    order_id: str
    operation_id: str
    refund_id: str
    amount_minor: int
    reason: str
    news: TransactionNews | None = None
