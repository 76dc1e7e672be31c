"""The script of a run: the orders and what checkout publishes of each, made from a seed alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from deploy.demo.elsewhere import kinds_of
from deploy.demo.kinds import KINDS, Kind, counts_for
from deploy.demo.stories import Also, Goods, Refund, Saved, Story

PLENTY: Final = ("tea", "coffee", "honey", "mug", "kettle", "teapot", "biscuits", "jam")
PLENTY_UNITS: Final = 10_000_000
SCARCE, SCARCE_UNITS = "antique-samovar", 2
"""Every order asks for more units of it than there are, so that these stay."""
NOWHERE: Final = "moon-dust"
CURRENCIES: Final = ("EUR", "EUR", "EUR", "USD", "GBP", "JPY")
LARGE_MINOR: Final = 100_000_000
"""Above Stripe's largest amount, eight digits, and still within PAYMENTS_AMOUNT_MAX_MINOR."""
KINDS_OF_METHOD: Final = {"wallet": "WALLET", "captured": "WALLET", "redirect": "BANK", "debit": "BANK"}
"""Of a payment method, by a part of its token; any other is a CARD."""
SAVED_CUSTOMER: Final = "cus_play_demo"
"""The customer of saved methods at the gateway, as the sandbox has them."""
CUSTOMERS: Final = 999
CARD_NUMBER: Final = "4242424242424242"
"""Stripe's published test number: it must be refused wherever it stands, and never be shown or stored."""


@dataclass(frozen=True, slots=True)
class ScriptedOrder:
    """One order: what checkout publishes (a line of `payments publish`), and how it must end."""

    order_id: str
    kind: Kind
    story: Story
    confirmed: dict[str, Any]

    @property
    def total_minor(self) -> int:
        """What the customer pays."""
        return int(self.confirmed["total_minor"])

    def others(self) -> list[dict[str, Any]]:
        """Return what checkout publishes by mistake, right after the order."""
        match self.story.also:
            case Also.AGAIN:
                return [self.confirmed, _without_id(self.confirmed)]
            case Also.CHANGED:
                return [{**_without_id(self.confirmed), "customer_id": "somebody-else"}]
            case Also.NOTHING | Also.CLICKED_TWICE:
                return []

    def retry(self, after_attempt: int) -> list[dict[str, Any]]:
        """Return what the storefront publishes when this attempt has failed; nothing after the last attempt."""
        if after_attempt >= len(self.story.tokens):
            return []
        line = {
            "type": "PaymentRetryRequested",
            "order_id": self.order_id,
            "after_attempt": after_attempt,
            "payment_method": _method(self.story.tokens[after_attempt], self.story.saved),
        }
        return [line] * (2 if self.story.also is Also.CLICKED_TWICE else 1)

    def cancel(self) -> dict[str, Any]:
        """Return what the storefront publishes when somebody cancels the order."""
        return {
            "type": "OrderCancelRequested",
            "order_id": self.order_id,
            "request_id": f"cancel-{self.order_id}",
            "reason": "ordered by mistake",
            "requested_by": str(self.confirmed["customer_id"]),
        }

    @property
    def part_minor(self) -> int:
        """What is asked back of it if a part is."""
        return max(self.total_minor // 3, 1)

    @property
    def part_item(self) -> str:
        """The SKU of which one unit comes back with that part."""
        return str(self.confirmed["lines"][0]["sku"])

    def refunds(self) -> list[dict[str, Any]]:
        """Return what customer service publishes when the order is paid."""
        match self.story.refund:
            case Refund.NOTHING:
                return []
            case Refund.ALL:
                return [self._refund("all", None, [])]
            case Refund.PART:
                back = [{"sku": self.part_item, "quantity": 1}]
                return [self._refund("part", self.part_minor, back), self._refund("more", self.total_minor, [])]

    def _refund(self, name: str, amount_minor: int | None, lines: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "type": "RefundRequested",
            "order_id": self.order_id,
            "request_id": f"refund-{name}-{self.order_id}",
            "amount_minor": amount_minor,
            "reason": "arrived damaged",
            "lines": lines,
            "requested_by": "customer service",
        }

    def preparation(self) -> dict[str, Any]:
        """Return what order preparation publishes when it begins."""
        return {"type": "PreparationStarted", "order_id": self.order_id}


@dataclass(frozen=True, slots=True)
class Stray:
    """A message that must end as a dead letter. title: in words; line: of `payments publish --unchecked`."""

    title: str
    reason: str
    key: str
    line: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Script:
    """All orders, in the order in which they are published, and the messages that are no orders.

    kinds: those that it has orders of. elsewhere: the stock is in another system, and some orders have trouble there.
    """

    seed: int
    orders: Sequence[ScriptedOrder]
    strays: Sequence[Stray]
    kinds: Sequence[Kind] = KINDS
    elsewhere: bool = False

    @property
    def stock(self) -> dict[str, int]:
        """Return the units of each SKU that are there at the beginning."""
        named = {order.story.item for order in self.orders if order.story.item is not None}
        return dict.fromkeys([*PLENTY, *sorted(named)], PLENTY_UNITS) | {SCARCE: SCARCE_UNITS}

    @property
    def letters(self) -> dict[tuple[str, str], int]:
        """Return how many dead letters there must be, by (reason, message key)."""
        wanted = {(stray.reason, stray.key): 1 for stray in self.strays}
        return wanted | {("conflict", o.order_id): 1 for o in self.orders if o.story.also is Also.CHANGED}


def write_script(orders: int, seed: int, *, elsewhere: bool = False) -> Script:
    """Write the script; the same numbers always give the same one. orders: as many as there are kinds, at least."""
    kinds = kinds_of(elsewhere=elsewhere)
    draw = random.Random(seed)  # noqa: S311 - a play, not a secret
    cast = [
        (draw.random() * (0.5 if story.slow else 1), kind, story)
        for kind, count in counts_for(orders, kinds)
        for story in (kind.variants[n % len(kind.variants)] for n in range(count))
    ]
    # Orders that wait for a gateway come in the first half, so that the run does not end with waiting.
    cast.sort(key=lambda part: part[0])
    made = [_order(f"demo-{seed}-{n:05d}", kind, story, draw) for n, (_, kind, story) in enumerate(cast, start=1)]
    return Script(seed, made, _strays(seed, draw), kinds, elsewhere)


def address_of(customer_id: str) -> str:
    """Return the mail address of a customer."""
    return f"{customer_id}@customers.example"


def customer_file() -> str:
    """Return the customers with their addresses, as PAYMENTS_CUSTOMER_DIRECTORY reads them."""
    names = (_customer(number) for number in range(1, CUSTOMERS + 1))
    return "".join(["customer_id,email\n", *(f"{name},{address_of(name)}\n" for name in names)])


def _customer(number: int) -> str:
    return f"customer-{number:03d}"


def _order(order_id: str, kind: Kind, story: Story, draw: random.Random) -> ScriptedOrder:
    lines: list[dict[str, Any]] = [
        {"sku": sku, "quantity": draw.randint(1, 3), "unit_price_minor": draw.randrange(250, 9_000, 5)}
        for sku in draw.sample(PLENTY, draw.randint(1, 3))
    ]
    if story.goods is Goods.SHORT:
        lines.append({"sku": SCARCE, "quantity": SCARCE_UNITS + draw.randint(1, 3), "unit_price_minor": 4_500})
    elif story.goods is Goods.UNKNOWN:
        lines.append({"sku": NOWHERE, "quantity": 1, "unit_price_minor": 99})
    if story.item is not None:
        lines.append({"sku": story.item, "quantity": 1, "unit_price_minor": 1_500})
    if story.large:
        lines.append({"sku": "teapot", "quantity": 1, "unit_price_minor": LARGE_MINOR})
    subtotal: int = sum(line["quantity"] * line["unit_price_minor"] for line in lines)
    total = LARGE_MINOR if story.large else subtotal - draw.choice((0, 0, 100))
    total = 0 if story.free else total
    confirmed = {
        "type": "OrderConfirmed",
        "event_id": str(_uuid(draw)),
        "order_id": order_id,
        "customer_id": _customer(draw.randint(1, CUSTOMERS)),
        "currency": story.currency or draw.choice(CURRENCIES),
        "lines": lines,
        "discount_minor": subtotal - total,
        "delivery_fee_minor": 0,
        "service_fee_minor": 0,
        "total_minor": total,
        "payment_method": _method(story.tokens[0], story.saved) if story.tokens else None,
    }
    return ScriptedOrder(order_id, kind, story, confirmed)


def _strays(seed: int, draw: random.Random) -> list[Stray]:
    good = _order("", *_any_kind(), draw).confirmed

    def named(name: str, **changed: Any) -> dict[str, Any]:
        return {**good, "event_id": str(_uuid(draw)), "order_id": name, **changed}

    total, card, key, garbage, nobody = (f"demo-{seed}-{what}" for what in ("total", "card", "key", "noise", "nobody"))
    retry = {
        "type": "PaymentRetryRequested",
        "order_id": nobody,
        "after_attempt": 1,
        "payment_method": _method("pm_card_visa"),
    }
    return [
        Stray("a total that does not add up", "total_mismatch", total, named(total, total_minor=1)),
        Stray(
            "a card number in place of a token",
            "card_number",
            card,
            named(card, payment_method={"kind": "CARD", "token": CARD_NUMBER}),
        ),
        Stray("a key that is not the order id", "key_mismatch", f"{key}-other", named(key, key=f"{key}-other")),
        Stray("bytes that are no event", "undecodable", garbage, _noise(garbage)),
        Stray("a retry of an order that nobody knows", "unknown_order", nobody, retry),
    ]


def _noise(key: str) -> dict[str, Any]:
    return {"type": "OrderConfirmed", "key": key, "raw_hex": b"this is not Avro".hex()}


def _any_kind() -> tuple[Kind, Story]:
    kind = counts_for(1_000)[0][0]
    return kind, kind.variants[0]


def _method(token: str, saved: Saved = Saved.NOT) -> dict[str, Any]:
    kind = next((kind for name, kind in KINDS_OF_METHOD.items() if name in token), "CARD")
    method = {"kind": kind, "token": token}
    if saved is Saved.NOT:
        return method
    return {**method, "gateway_customer_id": SAVED_CUSTOMER, "off_session": saved is Saved.AWAY}


def _without_id(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != "event_id"}


def _uuid(draw: random.Random) -> UUID:
    return UUID(int=draw.getrandbits(128), version=4)
