"""The kinds of orders that a demo has, each with its stories."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from deploy.demo.methods import ASKS, DECLINES, FAULTS, GOOD, MAY_RETRY
from deploy.demo.stories import Also, Cancel, Customer, End, Goods, Money, Refund, Saved, Story

_PAID = End(None, Money.TAKEN)
_SHORT_VOIDED = End("items_unavailable", Money.VOIDED)
_SHORT_REFUNDED = End("items_unavailable", Money.REFUNDED)
_CAPTURE_REFUSED = End("capture_refused", Money.VOIDED)
_NOT_PROVEN = End("authentication_failed", Money.NONE, asks=True)


def _declined(token: str) -> End:
    return End(DECLINES[token], Money.NONE)


def _trouble(operation: str, end: End, goods: Goods = Goods.THERE, captured: str = "") -> tuple[Story, ...]:
    return tuple(
        Story((f"pm_fault_{fault}_on_{operation}{captured}",), (end,), goods=goods, slow=True) for fault in FAULTS
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of orders: its variants in turn, its share of all orders, and the most that there are.

    shown: the timeline of one of them is printed.
    """

    title: str
    variants: tuple[Story, ...]
    share: float
    most: int
    shown: bool = False


_PLAIN = Kind("paid by card", tuple(Story((token,), (_PAID,)) for token in GOOD), 0, 0, shown=True)
_SPECIAL = (
    Kind(
        "declined",
        (
            *(Story((token,), (_declined(token),)) for token in DECLINES),
            Story(("pm_card_visa",), (End("amount_refused", Money.NONE),), currency="EUR", large=True),
            Story(("pm_card_visa",), (End("currency_not_offered", Money.NONE),), currency="KPW"),
        ),
        0.05,
        100_000,
        shown=True,
    ),
    Kind(
        "declined, then paid with another card",
        tuple(Story((token, "pm_card_visa"), (_declined(token), _PAID)) for token in MAY_RETRY),
        0.02,
        100,
        shown=True,
    ),
    Kind(
        "declined, then declined again",
        tuple(
            Story((token, "pm_card_chargeDeclinedLostCard"), (_declined(token), End("card_blocked", Money.NONE)))
            for token in MAY_RETRY
        ),
        0.005,
        20,
    ),
    Kind(
        "declined, and pay-again clicked twice",
        (
            Story(
                ("pm_card_chargeDeclinedExpiredCard", "pm_card_mastercard"),
                (_declined("pm_card_chargeDeclinedExpiredCard"), _PAID),
                also=Also.CLICKED_TWICE,
            ),
        ),
        0.005,
        20,
    ),
    Kind(
        "out of stock, the hold let go",
        tuple(
            Story((token,), (_SHORT_VOIDED,), goods=goods)
            for goods in (Goods.SHORT, Goods.UNKNOWN)
            for token in GOOD[:3]
        ),
        0.045,
        100_000,
        shown=True,
    ),
    Kind("captured at once, paid", (Story(("pm_wallet_captured",), (_PAID,)),), 0.01, 50),
    Kind(
        "captured at once, out of stock, refunded",
        (Story(("pm_wallet_captured",), (_SHORT_REFUNDED,), goods=Goods.SHORT),),
        0.01,
        50,
        shown=True,
    ),
    Kind(
        "captured at once, the refund takes a while",
        (Story(("pm_fault_refund_pending",), (_SHORT_REFUNDED,), goods=Goods.SHORT),),
        0.005,
        10,
    ),
    Kind(
        "confirmed by the customer (3-D Secure), paid",
        (
            Story((ASKS,), (replace(_PAID, asks=True),), customer=Customer.CONFIRMS),
            Story(("pm_redirect",), (replace(_PAID, asks=True),), currency="EUR", customer=Customer.CONFIRMS),
        ),
        0.01,
        40,
        shown=True,
    ),
    Kind(
        "not confirmed by the customer, or not in time",
        (
            Story((ASKS,), (_NOT_PROVEN,), customer=Customer.FAILS),
            Story(
                (ASKS,),
                (End("action_expired", Money.NONE, asks=True),),
                customer=Customer.NEVER_COMES,
                slow=True,
            ),
            Story((ASKS, "pm_card_visa"), (_NOT_PROVEN, _PAID), customer=Customer.FAILS),
        ),
        0.015,
        30,
    ),
    Kind(
        "paid on the bank's page, out of stock, refunded",
        (
            Story(
                ("pm_redirect",),
                (replace(_SHORT_REFUNDED, asks=True),),
                goods=Goods.SHORT,
                currency="EUR",
                customer=Customer.CONFIRMS,
            ),
        ),
        0.005,
        10,
    ),
    Kind(
        "a bank debit that takes days",
        (
            Story(("pm_debit_days",), (_PAID,), currency="EUR", saved=Saved.PRESENT, slow=True),
            Story(
                ("pm_debit_days_declined",),
                (End("card_declined", Money.NONE),),
                currency="EUR",
                saved=Saved.PRESENT,
                slow=True,
            ),
        ),
        0.01,
        10,
    ),
    Kind(
        "a saved card, the customer away",
        (
            Story(("pm_card_visa",), (_PAID,), saved=Saved.AWAY),
            Story((ASKS,), (End("authentication_required", Money.NONE),), saved=Saved.AWAY),
        ),
        0.01,
        20,
    ),
    Kind(
        "paid, and disputed afterwards",
        (Story(("pm_card_createDispute",), (replace(_PAID, disputed="fraudulent"),)),),
        0.005,
        5,
        shown=True,
    ),
    Kind(
        "cancelled while it is being paid",
        tuple(
            Story((token,), (End(None, Money.KEPT_NOT),), cancel=Cancel.WHILE_PAYING)
            for token in ("pm_card_visa", "pm_fault_slow_3s_on_capture", "pm_wallet_captured")
        ),
        0.01,
        30,
    ),
    Kind(
        "cancelled before the order came",
        (Story(("pm_card_visa",), (End(None, Money.NONE),), cancel=Cancel.BEFORE),),
        0.005,
        10,
    ),
    Kind(
        "paid, then cancelled",
        tuple(
            Story((token,), (End(None, Money.REFUNDED),), cancel=Cancel.WHEN_PAID)
            for token in ("pm_card_visa", "pm_wallet_captured", "pm_fault_refund_pending")
        ),
        0.01,
        30,
        shown=True,
    ),
    Kind(
        "paid, and the cancel came too late",
        (Story(("pm_card_visa",), (_PAID,), cancel=Cancel.IN_PREPARATION),),
        0.005,
        20,
        shown=True,
    ),
    Kind(
        "paid, then a part refunded with an item, and more refused",
        tuple(
            Story((token,), (End(None, Money.REFUNDED_IN_PART),), refund=Refund.PART)
            for token in ("pm_card_visa", "pm_wallet_captured", "pm_fault_reset_after_on_refund")
        ),
        0.01,
        30,
        shown=True,
    ),
    Kind(
        "paid, then refunded on request",
        tuple(
            Story((token,), (End(None, Money.REFUNDED),), refund=Refund.ALL)
            for token in ("pm_card_visa", "pm_fault_refund_pending")
        ),
        0.005,
        20,
    ),
    Kind("nothing to pay", (Story((), (End(None, Money.NONE),), free=True),), 0.01, 20, shown=True),
    Kind(
        "nothing to pay, out of stock",
        (Story((), (End("items_unavailable", Money.NONE),), goods=Goods.SHORT, free=True),),
        0.005,
        10,
    ),
    Kind(
        "capture refused, the hold let go",
        (Story(("pm_fault_capture_refused",), (_CAPTURE_REFUSED,)),),
        0.005,
        10,
        shown=True,
    ),
    Kind(
        "capture refused, then paid with another card",
        (Story(("pm_fault_capture_refused", "pm_card_visa"), (_CAPTURE_REFUSED, _PAID)),),
        0.005,
        10,
    ),
    Kind(
        "out of stock, but captured elsewhere: refunded",
        (Story(("pm_fault_void_refused_captured",), (_SHORT_REFUNDED,), goods=Goods.SHORT),),
        0.005,
        5,
    ),
    Kind("gateway trouble while authorizing", _trouble("authorize", _PAID), 0.045, 18, shown=True),
    Kind("gateway trouble while capturing", _trouble("capture", _PAID), 0.045, 18),
    Kind("gateway trouble while voiding", _trouble("void", _SHORT_VOIDED, Goods.SHORT), 0.045, 18),
    Kind("gateway trouble while refunding", _trouble("refund", _SHORT_REFUNDED, Goods.SHORT, "_captured"), 0.045, 18),
    Kind("ordered twice by mistake", (Story(("pm_card_visa",), (_PAID,), also=Also.AGAIN),), 0.01, 20),
    Kind("the same order id with other content", (Story(("pm_card_visa",), (_PAID,), also=Also.CHANGED),), 0.005, 5),
)
KINDS: Final = (_PLAIN, *_SPECIAL)
ORDERS_MIN: Final = len(KINDS)
"""Fewer orders would leave a kind out."""


def counts_for(orders: int, kinds: Sequence[Kind] = KINDS) -> list[tuple[Kind, int]]:
    """Return how many of these orders are of each kind, at least one. The rest are paid by card, the first kind."""
    assert orders >= len(kinds)
    special = [(kind, max(1, min(kind.most, int(kind.share * orders)))) for kind in kinds[1:]]
    return [(kinds[0], orders - sum(count for _, count in special)), *special]
