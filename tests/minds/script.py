"""Orders of every kind from a seed alone, for people who change their minds.

What becomes of an order follows from its payment methods and its goods; `life` names the events that it may meet, in
their order. What somebody asks of it on the way is in `wishes.py` and `claims.py`.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

PLENTY: Final = ("tea", "honey", "mug")
PLENTY_UNITS: Final = 10_000_000
SCARCE, SCARCE_UNITS = "samovar", 1
"""Every order of it asks for two: this one stays."""
CONTESTED, CONTESTED_UNITS = "vase", 25
"""Some get it, others come too late; a cancel gives it back, and somebody else may have it."""
STOCK: Final[Mapping[str, int]] = {
    **dict.fromkeys(PLENTY, PLENTY_UNITS),
    SCARCE: SCARCE_UNITS,
    CONTESTED: CONTESTED_UNITS,
}
CUSTOMER_OF_DEBIT: Final = "cus_play_minds"
"""A saved customer of the sandbox's; a debit needs their mandate."""
LARGE_MINOR: Final = 450_000

AUTHORIZED, RESERVED, PAID = "PaymentAuthorized", "ItemsReserved", "PaidAndConfirmed"
FAILED, SHORT, VOIDED, REFUNDED = "PaymentFailed", "ReservationFailed", "PaymentVoided", "PaymentRefunded"
ASKED, TOLD = "CustomerActionRequired", "CustomerNotificationRequested"


class Customer(StrEnum):
    """What the customer does when their bank asks them."""

    CONFIRMS = "confirms"
    FAILS = "fails"
    NEVER_COMES = "never comes"


@dataclass(frozen=True, slots=True)
class Kind:
    """tokens: the payment methods in turn, one an attempt. life: events of ours that it meets if nobody cancels it.

    weight: its share. ends_paid: the gateway keeps the money, if nobody changes their mind. disputed: the customer's
    bank takes the money back once it is captured. troubled: some call at the gateway goes wrong on the way.
    """

    name: str
    weight: int
    tokens: tuple[str, ...]
    life: tuple[str, ...]
    sku: str = PLENTY[0]
    customer: Customer | None = None
    free: bool = False
    large: bool = False
    debit: bool = False
    disputed: bool = False
    troubled: bool = False

    @property
    def ends_paid(self) -> bool:
        """Whether it is paid in the end, if nobody changes their mind and the goods are there."""
        return PAID in self.life


@dataclass(frozen=True, slots=True)
class Order:
    """An order. fields: of its OrderConfirmed, but for occurred_at, which is that of publishing."""

    order_id: str
    kind: Kind
    fields: dict[str, Any]

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
        found: dict[str, int] = {}
        for line in self.fields["lines"]:
            found[line["sku"]] = found.get(line["sku"], 0) + int(line["quantity"])
        return found


VISA, WALLET, REDIRECT = "pm_card_visa", "pm_wallet_captured", "pm_redirect"
THREE_D: Final = "pm_card_authenticationRequired"
FUNDS: Final = "pm_card_chargeDeclinedInsufficientFunds"
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
TO_PAID: Final = (AUTHORIZED, RESERVED, PAID)
TO_SHORT: Final = (AUTHORIZED, SHORT, VOIDED, FAILED, TOLD)
TO_SHORT_BACK: Final = (AUTHORIZED, SHORT, REFUNDED, FAILED, TOLD)


def _troubled(operation: str, weight: int, captured: str = "") -> list[Kind]:
    return [
        Kind(f"{fault} on {operation}", weight, (f"pm_fault_{fault}_on_{operation}{captured}",), TO_PAID, troubled=True)
        for fault in TROUBLES
    ]


KINDS: Final[Sequence[Kind]] = (
    Kind("paid", 300, (VISA,), TO_PAID),
    Kind("large", 20, (VISA,), TO_PAID, large=True),
    Kind("captured at once", 90, (WALLET,), TO_PAID),
    Kind("refund pending", 30, ("pm_fault_refund_pending",), TO_PAID),
    Kind("declined for good", 40, ("pm_card_chargeDeclinedLostCard",), (FAILED, TOLD)),
    Kind("declined", 30, (FUNDS,), (FAILED, TOLD)),
    Kind("declined, then paid", 60, (FUNDS, VISA), (FAILED, TOLD, *TO_PAID)),
    Kind("capture refused", 20, ("pm_fault_capture_refused",), (AUTHORIZED, RESERVED, VOIDED, FAILED, TOLD)),
    Kind("out of stock", 60, (VISA,), TO_SHORT, SCARCE),
    Kind("out of stock, refunded", 30, (WALLET,), TO_SHORT_BACK, SCARCE),
    Kind("out of stock, refund pending", 10, ("pm_fault_refund_pending",), TO_SHORT_BACK, SCARCE),
    Kind("captured elsewhere", 10, ("pm_fault_void_refused_captured",), TO_PAID),
    Kind("captured elsewhere, out of stock", 10, ("pm_fault_void_refused_captured",), TO_SHORT_BACK, SCARCE),
    Kind("the last few", 40, (VISA,), TO_PAID, CONTESTED),
    Kind("3-D Secure", 70, (THREE_D,), (ASKED, *TO_PAID), customer=Customer.CONFIRMS),
    Kind("3-D Secure, not proven", 20, (THREE_D,), (ASKED, FAILED, TOLD), customer=Customer.FAILS),
    Kind("3-D Secure, never comes", 20, (THREE_D,), (ASKED, FAILED, TOLD), customer=Customer.NEVER_COMES),
    Kind("the bank's page", 25, (REDIRECT,), (ASKED, *TO_PAID), customer=Customer.CONFIRMS),
    Kind("debit", 25, ("pm_debit_days",), (TOLD, *TO_PAID), debit=True),
    Kind("debit, declined later", 10, ("pm_debit_days_declined",), (TOLD, FAILED), debit=True),
    Kind("nothing to pay", 40, (), TO_PAID, free=True),
    Kind("nothing to pay, out of stock", 10, (), (AUTHORIZED, SHORT, FAILED, TOLD), SCARCE, free=True),
    Kind("disputed", 20, ("pm_card_createDispute",), TO_PAID, disputed=True),
    *_troubled("authorize", 5),
    *_troubled("capture", 5),
    *_troubled("void", 5),
    *_troubled("refund", 5, "_captured"),
)
REFUNDABLE: Final[Sequence[Kind]] = (
    Kind("paid", 500, (VISA,), TO_PAID),
    Kind("captured at once", 150, (WALLET,), TO_PAID),
    Kind("large", 40, (VISA,), TO_PAID, large=True),
    Kind("refund pending", 60, ("pm_card_pendingRefund",), TO_PAID),
    Kind("refund fails later", 10, ("pm_card_refundFail",), TO_PAID),
    Kind("disputed", 50, ("pm_card_createDispute",), TO_PAID, disputed=True),
    Kind("inquiry", 20, ("pm_card_createDisputeInquiry",), TO_PAID),
    Kind("declined for good", 30, ("pm_card_chargeDeclinedLostCard",), (FAILED, TOLD)),
    Kind("out of stock", 20, (VISA,), TO_SHORT, SCARCE),
    Kind("nothing to pay", 20, (), TO_PAID, free=True),
    *_troubled("refund", 10),
)

INVENTORY_TROUBLES: Final = (
    "RESET-BEFORE",
    "RESET-AFTER",
    "TIMEOUT-BEFORE",
    "TIMEOUT-AFTER",
    "500-AFTER",
    "503",
    "429",
    "HTML",
    "TRUNCATED",
    "GARBAGE",
    "MIXED-UP",
    "SLOW-3S",
)
ELSEWHERE: Final[Sequence[Kind]] = tuple(
    Kind(f"{fault} on {call}", 4, (VISA,), TO_PAID, f"SKU-FAULT-{fault}-ON-{call}", troubled=True)
    for call in ("RESERVE", "EXTEND", "CONFIRM", "RELEASE", "RESTOCK")
    for fault in INVENTORY_TROUBLES
)
"""With the stock elsewhere: its SKU has the inventory's stand-in fail the first call of that kind about the order."""
STOCK_ELSEWHERE: Final[Mapping[str, int]] = {**STOCK, **{kind.sku: PLENTY_UNITS for kind in ELSEWHERE}}


def method(token: str, *, debit: bool = False) -> dict[str, Any]:
    """Return a payment method of an event."""
    return {
        "kind": "WALLET" if token == WALLET else "BANK" if debit or token == REDIRECT else "CARD",
        "token": token,
        "gateway_customer_id": CUSTOMER_OF_DEBIT if debit else None,
        "off_session": False,
    }


class Script:
    """Writes orders. The same seed and prefix write the same ones."""

    def __init__(self, seed: int, prefix: str, kinds: Sequence[Kind]) -> None:
        self.seed = seed
        self._prefix = prefix
        self._kinds = kinds

    def orders(self, count: int) -> list[Order]:
        """Write so many orders. Each kind comes once before chance decides, as far as there is room."""
        draw = random.Random(f"orders {self._prefix} of {self.seed}")
        chosen = list(self._kinds)[:count]
        chosen += draw.choices(self._kinds, [kind.weight for kind in self._kinds], k=count - len(chosen))
        draw.shuffle(chosen)
        return [self._order(f"{self._prefix}{self.seed}-{n:05d}", kind, draw) for n, kind in enumerate(chosen)]

    @staticmethod
    def _order(order_id: str, kind: Kind, draw: random.Random) -> Order:
        quantity = 2 if kind.sku == SCARCE else 1 if kind.sku == CONTESTED else draw.randint(1, 4)
        price = LARGE_MINOR if kind.large else draw.randrange(250, 9_000, 5)
        lines: list[dict[str, Any]] = [{"sku": kind.sku, "quantity": quantity, "unit_price_minor": price}]
        if draw.random() < 0.5:
            lines.append(
                {"sku": PLENTY[2], "quantity": draw.randint(1, 3), "unit_price_minor": draw.randrange(95, 900)}
            )
        goods = sum(line["quantity"] * line["unit_price_minor"] for line in lines)
        fee = draw.choice((0, 290, 490))
        discount = goods + fee if kind.free else draw.choice((0, 0, 100))
        fields = {
            "event_id": str(UUID(int=draw.getrandbits(128), version=4)),
            "order_id": order_id,
            "correlation_id": f"basket of {order_id}",
            "causation_id": None,
            "customer_id": f"customer-{draw.randint(1, 999):03d}",
            "currency": "EUR" if kind.debit or kind.tokens == (REDIRECT,) else draw.choice(("EUR", "EUR", "USD")),
            "lines": lines,
            "discount_minor": discount,
            "delivery_fee_minor": fee,
            "service_fee_minor": 0,
            "tax_minor": 0,
            "total_minor": goods + fee - discount,
            "payment_method": method(kind.tokens[0], debit=kind.debit) if kind.tokens else None,
        }
        return Order(order_id, kind, fields)
