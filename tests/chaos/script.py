"""Orders of every kind from a seed alone, and the one ending that each may have: event, failure code, gateway effects.

An order's ids follow from the seed and its number; what happens to it at the gateway follows from its payment methods.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

PLENTY: Final = ("tea", "honey", "mug")
PLENTY_UNITS: Final = 10_000_000
SCARCE, SCARCE_UNITS = "samovar", 1
"""Every order of it asks for two: this one stays."""
CONTESTED, CONTESTED_UNITS = "vase", 40
"""Some orders get it, the others come too late: either is right, as long as the units add up."""
NOWHERE: Final = "moon-dust"
STOCK: Final = {**dict.fromkeys(PLENTY, PLENTY_UNITS), SCARCE: SCARCE_UNITS, CONTESTED: CONTESTED_UNITS}
CURRENCIES: Final = ("EUR", "EUR", "EUR", "USD", "GBP", "JPY")


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ends: the event, the code of PaymentFailed, and what the gateway did for it, in order."""

    event: str
    failure: str | None
    effects: tuple[str, ...]


class Also(StrEnum):
    """What checkout or the storefront publishes besides."""

    NOTHING = "nothing"
    AGAIN = "the same message again, and the same order under another event id"
    CHANGED = "the same order id with other content"
    SAME_EVENT_ID = "another order under the same event id"
    CLICKED_TWICE = "the retry twice"


PAID: Final = Ending("PaidAndConfirmed", None, ("authorize", "capture"))
FREE: Final = Ending("PaidAndConfirmed", None, ())
SHORT: Final = Ending("PaymentFailed", "items_unavailable", ("authorize", "cancel"))
SHORT_REFUNDED: Final = Ending("PaymentFailed", "items_unavailable", ("authorize", "capture", "refund"))
SHORT_FREE: Final = Ending("PaymentFailed", "items_unavailable", ())
CAPTURE_REFUSED: Final = Ending("PaymentFailed", "capture_refused", ("authorize", "cancel"))


def declined(code: str) -> Ending:
    """Return the ending of an attempt that the issuer declines."""
    return Ending("PaymentFailed", code, ())


@dataclass(frozen=True, slots=True)
class Kind:
    """tokens: the payment methods in turn, one an attempt; endings: one an attempt. or_else: the last may end so, too.

    weight: its share in a thousand orders.
    """

    name: str
    weight: int
    tokens: tuple[str, ...]
    endings: tuple[Ending, ...]
    sku: str = PLENTY[0]
    or_else: Ending | None = None
    free: bool = False
    also: Also = Also.NOTHING


VISA, WALLET = "pm_card_visa", "pm_wallet_captured"
EXPIRED, LOST = "pm_card_chargeDeclinedExpiredCard", "pm_card_chargeDeclinedLostCard"
FUNDS: Final = "pm_card_chargeDeclinedInsufficientFunds"
NO_FUNDS, CARD_EXPIRED = declined("insufficient_funds"), declined("card_expired")
TROUBLES: Final = (
    "reset_before",
    "reset_after",
    "timeout_before",
    "timeout_after",
    "500_after",
    "429",
    "html",
    "truncated",
    "slow_3s",
)


def _troubled(operation: str, ending: Ending, sku: str, captured: str = "") -> list[Kind]:
    return [
        Kind(f"{trouble} on {operation}", 2, (f"pm_fault_{trouble}_on_{operation}{captured}",), (ending,), sku)
        for trouble in TROUBLES
    ]


PLAIN: Final = Kind("paid", 520, (VISA,), (PAID,))
KINDS: Final = (
    PLAIN,
    Kind("captured at once", 40, (WALLET,), (PAID,)),
    Kind("declined: no funds", 40, (FUNDS,), (NO_FUNDS,)),
    Kind("declined: lost card", 20, (LOST,), (declined("card_blocked"),)),
    Kind("declined, then paid", 40, (FUNDS, VISA), (NO_FUNDS, PAID)),
    Kind("declined twice", 10, (EXPIRED, LOST), (CARD_EXPIRED, declined("card_blocked"))),
    Kind("declined, then out of stock", 10, (EXPIRED, VISA), (CARD_EXPIRED, SHORT), SCARCE),
    Kind("retry clicked twice", 10, (EXPIRED, VISA), (CARD_EXPIRED, PAID), also=Also.CLICKED_TWICE),
    Kind("out of stock", 60, (VISA,), (SHORT,), SCARCE),
    Kind("unknown item", 10, (VISA,), (SHORT,), NOWHERE),
    Kind("out of stock, refunded", 25, (WALLET,), (SHORT_REFUNDED,), SCARCE),
    Kind("refund pending", 5, ("pm_fault_refund_pending",), (SHORT_REFUNDED,), SCARCE),
    Kind("the last few", 50, (VISA,), (PAID,), CONTESTED, or_else=SHORT),
    Kind("nothing to pay", 15, (), (FREE,), free=True),
    Kind("nothing to pay, out of stock", 5, (), (SHORT_FREE,), SCARCE, free=True),
    Kind("capture refused", 10, ("pm_fault_capture_refused",), (CAPTURE_REFUSED,)),
    Kind("capture refused, then paid", 5, ("pm_fault_capture_refused", VISA), (CAPTURE_REFUSED, PAID)),
    Kind("captured elsewhere, refunded", 5, ("pm_fault_void_refused_captured",), (SHORT_REFUNDED,), SCARCE),
    Kind("published again", 30, (VISA,), (PAID,), also=Also.AGAIN),
    Kind("other content", 10, (VISA,), (PAID,), also=Also.CHANGED),
    Kind("event id used twice", 10, (VISA,), (PAID,), also=Also.SAME_EVENT_ID),
    *_troubled("authorize", PAID, PLENTY[1]),
    *_troubled("capture", PAID, PLENTY[1]),
    *_troubled("void", SHORT, SCARCE),
    *_troubled("refund", SHORT_REFUNDED, SCARCE, "_captured"),
)
SIMPLE: Final = tuple(kind for kind in KINDS if kind.also is Also.NOTHING and len(kind.tokens) == 1 and kind.weight > 2)
"""Orders that need nothing but their first message."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order as checkout confirms it. fields: of OrderConfirmed, without the time, which is that of publishing."""

    order_id: str
    kind: Kind
    fields: dict[str, Any]

    @property
    def event_id(self) -> str:
        """Of its OrderConfirmed."""
        return str(self.fields["event_id"])

    @property
    def total_minor(self) -> int:
        """What the customer pays."""
        return int(self.fields["total_minor"])

    @property
    def currency(self) -> str:
        """ISO 4217."""
        return str(self.fields["currency"])

    @property
    def units(self) -> dict[str, int]:
        """Units by SKU."""
        return {line["sku"]: line["quantity"] for line in self.fields["lines"]}


def method(token: str) -> dict[str, str]:
    """Return a payment method of an event."""
    return {"kind": "WALLET" if token == WALLET else "CARD", "token": token}


class Script:
    """Writes orders. The same seed writes the same ones, whatever else is written between them."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def orders(self, count: int) -> Iterator[Order]:
        """Write the orders of the steady flow."""
        draw = random.Random(f"orders of {self.seed}")
        weights = [kind.weight for kind in KINDS]
        for number, kind in enumerate(draw.choices(KINDS, weights, k=count)):
            yield self._order(f"c{self.seed}-{number:06d}", kind, draw)

    def more(self, name: str, count: int, kinds: tuple[Kind, ...] = SIMPLE) -> list[Order]:
        """Write orders that a fault publishes itself. name: makes their ids, so use each once."""
        draw = random.Random(f"{name} of {self.seed}")
        chosen = draw.choices(kinds, [kind.weight for kind in kinds], k=count)
        return [self._order(f"c{self.seed}-{name}-{number:03d}", kind, draw) for number, kind in enumerate(chosen)]

    @staticmethod
    def _order(order_id: str, kind: Kind, draw: random.Random) -> Order:
        quantity = 2 if kind.sku == SCARCE else 1 if kind.sku == CONTESTED else draw.randint(1, 3)
        lines: list[dict[str, Any]] = [
            {"sku": kind.sku, "quantity": quantity, "unit_price_minor": draw.randrange(250, 9_000, 5)}
        ]
        if draw.random() < 0.5:
            lines.append(
                {"sku": PLENTY[2], "quantity": draw.randint(1, 2), "unit_price_minor": draw.randrange(95, 900)}
            )
        goods: int = sum(line["quantity"] * line["unit_price_minor"] for line in lines)
        fee = draw.choice((0, 290, 490))
        discount = goods + fee if kind.free else draw.choice((0, 0, 100))
        fields = {
            "event_id": str(UUID(int=draw.getrandbits(128), version=4)),
            "order_id": order_id,
            "correlation_id": f"basket of {order_id}",
            "causation_id": None,
            "customer_id": f"customer-{draw.randint(1, 999):03d}",
            "currency": draw.choice(CURRENCIES),
            "lines": lines,
            "discount_minor": discount,
            "delivery_fee_minor": fee,
            "service_fee_minor": 0,
            "tax_minor": 0,
            "total_minor": goods + fee - discount,
            "payment_method": method(kind.tokens[0]) if kind.tokens else None,
        }
        return Order(order_id, kind, fields)
