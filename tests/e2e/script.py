"""Orders of every kind from a seed alone, and how each must end: the event, its failure code, the gateway's effects."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

PLENTY, SCARCE = "tea", "samovar"
PLENTY_UNITS: Final = 1_000_000
SCARCE_UNITS: Final = 1
"""Every order of it asks for two: this one stays."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The one outcome event of an order, and what happened at the gateway, in order. failure: of PaymentFailed."""

    event: str
    failure: str | None
    effects: tuple[str, ...]


PAID: Final = Ending("PaidAndConfirmed", None, ("authorize", "capture"))
VOIDED: Final = Ending("PaymentFailed", "items_unavailable", ("authorize", "cancel"))
REFUNDED: Final = Ending("PaymentFailed", "items_unavailable", ("authorize", "capture", "refund"))


def declined(code: str) -> Ending:
    return Ending("PaymentFailed", code, ())


@dataclass(frozen=True, slots=True)
class Order:
    """An order and its ending."""

    order_id: str
    token: str
    sku: str
    ending: Ending

    def line(self) -> dict[str, Any]:
        """Return what `payments publish` takes."""
        return {
            "type": "OrderConfirmed",
            "order_id": self.order_id,
            "customer_id": "customer-1",
            "currency": "EUR",
            "lines": [{"sku": self.sku, "quantity": 2, "unit_price_minor": 500}],
            "discount_minor": 0,
            "delivery_fee_minor": 250,
            "service_fee_minor": 0,
            "total_minor": 1250,
            "payment_method": {"kind": "CARD", "token": self.token},
        }


KINDS: Final[Sequence[tuple[int, tuple[str, str, Ending]]]] = (
    (700, ("pm_card_visa", PLENTY, PAID)),
    (40, ("pm_wallet_captured", PLENTY, PAID)),
    (60, ("pm_card_chargeDeclinedInsufficientFunds", PLENTY, declined("insufficient_funds"))),
    (40, ("pm_card_chargeDeclinedExpiredCard", PLENTY, declined("card_expired"))),
    (70, ("pm_card_visa", SCARCE, VOIDED)),
    (40, ("pm_wallet_captured", SCARCE, REFUNDED)),
    (8, ("pm_fault_reset_after_on_authorize", PLENTY, PAID)),
    (8, ("pm_fault_reset_before_on_capture", PLENTY, PAID)),
    (8, ("pm_fault_500_after_on_authorize", PLENTY, PAID)),
    (8, ("pm_fault_truncated_on_capture", PLENTY, PAID)),
    (8, ("pm_fault_429_on_authorize", PLENTY, PAID)),
    (4, ("pm_fault_timeout_after_on_capture", PLENTY, PAID)),
    (3, ("pm_fault_html_on_void", SCARCE, VOIDED)),
    (3, ("pm_fault_reset_after_on_refund_captured", SCARCE, REFUNDED)),
)
"""In a thousand orders so many of each (token, SKU, ending)."""


def write_script(count: int, seed: int, name: str = "order") -> list[Order]:
    """Write so many orders; the same seed always gives the same ones."""
    draw = random.Random(seed)
    weights, kinds = [weight for weight, _ in KINDS], [kind for _, kind in KINDS]
    return [Order(f"{name}-{n:05d}", *kind) for n, kind in enumerate(draw.choices(kinds, weights, k=count))]


def alike(count: int, name: str, token: str = "pm_card_visa", ending: Ending = PAID) -> list[Order]:
    """Write so many orders of one kind."""
    return [Order(f"{name}-{n:05d}", token, PLENTY, ending) for n in range(count)]
