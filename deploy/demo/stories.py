"""The form of a story: what happens to an order, and how each attempt must end: with which code, with what money."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.failure_codes import FailureCode
from schemas.fields import NotificationKind
from schemas.models import EVENTS


class Money(StrEnum):
    """What an attempt must leave behind at the gateway."""

    NONE = "no money moved"
    TAKEN = "taken"
    VOIDED = "held, then let go"
    REFUNDED = "taken, then given back"
    REFUNDED_IN_PART = "taken, then a part given back"
    KEPT_NOT = "perhaps held or taken, and then given back"


class Goods(StrEnum):
    """What an order asks the inventory for."""

    THERE = "all there"
    SHORT = "fewer there than ordered"
    UNKNOWN = "an item that nobody sells"


class Customer(StrEnum):
    """What the customer does when their bank asks them to confirm a payment."""

    NOT_ASKED = ""
    CONFIRMS = "confirms"
    FAILS = "fails to prove who they are"
    NEVER_COMES = "never comes"


class Saved(StrEnum):
    """Whether the payment method is one that the shop saved at the gateway."""

    NOT = ""
    PRESENT = "saved, the customer is there"
    AWAY = "saved, the customer is away"


class Cancel(StrEnum):
    """When somebody asks to cancel the order."""

    NEVER = ""
    BEFORE = "before the order has come"
    WHILE_PAYING = "together with the order"
    WHEN_PAID = "when it is paid"
    IN_PREPARATION = "when its preparation has begun"


class Refund(StrEnum):
    """What is asked back of a paid order."""

    NOTHING = ""
    ALL = "all of it"
    PART = "a part, with an item that comes back, and then more than is kept"


class Also(StrEnum):
    """What is published besides the order."""

    NOTHING = ""
    AGAIN = "the same message again, and the same order once more"
    CHANGED = "the same order id with other content"
    CLICKED_TWICE = "the retry twice"


@dataclass(frozen=True, slots=True)
class End:
    """How one attempt must end. failure: its code, None for paid. money: at the gateway, once all is quiet.

    asks: the customer had to confirm it. disputed: they contest it afterwards, for this reason. One that was cancelled
    has no failure.
    """

    failure: str | None
    money: Money
    asks: bool = False
    disputed: str | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What happens to an order. tokens: the payment methods in turn, one an attempt, with how each ends.

    currency: if it matters. free: discounted to nothing. large: costs more than the gateway takes (in EUR; in JPY it
    takes more). slow: waits are part of it. customer: what they do whenever they are asked. cancel: when somebody asks
    to cancel it. refund: what is asked back once it is paid. item: an SKU that is among the goods.
    """

    tokens: tuple[str, ...]
    ends: tuple[End, ...]
    goods: Goods = Goods.THERE
    currency: str | None = None
    free: bool = False
    large: bool = False
    slow: bool = False
    also: Also = Also.NOTHING
    customer: Customer = Customer.NOT_ASKED
    saved: Saved = Saved.NOT
    cancel: Cancel = Cancel.NEVER
    refund: Refund = Refund.NOTHING
    item: str | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the order must end cancelled."""
        return self.cancel not in {Cancel.NEVER, Cancel.IN_PREPARATION}

    @property
    def outcome(self) -> str:
        """The status in which the order must end."""
        if self.cancelled:
            return "cancelled"
        return "payment_failed" if self.ends[-1].failure else "paid_and_confirmed"

    @property
    def events(self) -> frozenset[tuple[str, int, str | None]]:
        """The outcomes and money movements that must be on the topics: (event type, attempt, failure code)."""
        found: set[tuple[str, int, str | None]] = set()
        for number, end in enumerate(self.ends, start=1):
            if self.cancel in {Cancel.NEVER, Cancel.WHEN_PAID, Cancel.IN_PREPARATION}:
                found.add(("PaymentFailed", number, end.failure) if end.failure else ("PaidAndConfirmed", number, None))
            if end.money is Money.VOIDED:
                found.add(("PaymentVoided", number, None))
            if end.money in {Money.REFUNDED, Money.REFUNDED_IN_PART}:
                found.add(("PaymentRefunded", number, None))
            if end.asks:
                found.add((ASKED_EVENT, number, None))
            if end.disputed:
                found.add(("PaymentDisputed", number, end.disputed))
        if self.cancelled:
            found.add(("OrderCancelled", 1, None))
        if self.refund is Refund.PART:
            found.add(("RefundRefused", 1, "EXCEEDS_KEPT"))
        if self.cancel is Cancel.IN_PREPARATION:
            found.add(("CancellationRefused", 1, "PREPARATION_STARTED"))
        return frozenset(found)

    @property
    def possible(self) -> frozenset[tuple[str, int, str | None]]:
        """The outcomes and money movements that may be there besides: how far an order comes before its cancel."""
        if self.cancel is not Cancel.WHILE_PAYING:
            return frozenset()
        return frozenset({("PaidAndConfirmed", 1, None), ("PaymentVoided", 1, None), ("PaymentRefunded", 1, None)})

    @property
    def mails(self) -> Mapping[str, int]:
        """How often the customer is told what, by kind."""
        told: Counter[str] = Counter()
        for end in self.ends:
            if end.asks:
                told[NotificationKind.ACTION_REQUIRED] += 1
            if end.failure == FailureCode.ITEMS_UNAVAILABLE:
                told[NotificationKind.ITEMS_UNAVAILABLE] += 1
            elif end.failure:
                told[NotificationKind.PAYMENT_FAILED] += 1
        # Their failure says that the money is on its way; that it has gone back is said later.
        if late := sum(PENDING_REFUND in token for token in self.tokens):
            told[NotificationKind.REFUNDED] = late
        if self.refund is not Refund.NOTHING:
            told[NotificationKind.REFUNDED] = 1
        if self.cancelled:
            told[NotificationKind.CANCELLED] = 1
        if self.cancel is Cancel.IN_PREPARATION:
            told[NotificationKind.CANCELLATION_REFUSED] = 1
        return told


PENDING_REFUND: Final = "refund_pending"
"""In the token of a payment whose refund the gateway accepts first and makes later."""
OUTCOME_EVENTS: Final = ("PaidAndConfirmed", "PaymentFailed", "OrderCancelled", "PaymentReviewRequired")
"""Each ends an attempt, or the order."""
MONEY_EVENTS: Final = ("PaymentVoided", "PaymentRefunded", "PaymentDisputed", "CancellationRefused", "RefundRefused")
"""What else is compared with the story."""
ASKED_EVENT: Final = "CustomerActionRequired"
assert {*OUTCOME_EVENTS, *MONEY_EVENTS, ASKED_EVENT} <= EVENTS.keys()

OUTCOMES: Final = ("paid_and_confirmed", "payment_failed", "cancelled", "manual_review")
