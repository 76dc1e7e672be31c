"""The orders of the benchmark: the same for everybody, in the words of each."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid5

import orjson

from schemas.codec import Codec
from schemas.events import Line, OrderConfirmed, PaymentMethod
from schemas.fields import PaymentMethodKind
from tests.bench.peers import common

DELIVERY_MINOR, SERVICE_MINOR, SECOND_MINOR = 299, 49, 450
ORDERS_MAX = 10**9
"""Of one seed."""
PER_UNITS = 3
"""Units of goods an order takes: one of the first SKU, two of the second."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order of the workload. kind: paid, declined or short; slow: one of its gateway calls takes 3 s."""

    order_id: str
    kind: str
    customer_id: str
    token: str
    skus: tuple[str, str]
    price_minor: int
    slow: bool = False

    @property
    def key(self) -> bytes:
        """The message key."""
        return self.order_id.encode()

    @property
    def total_minor(self) -> int:
        """What the customer pays."""
        return self.price_minor + 2 * SECOND_MINOR + DELIVERY_MINOR + SERVICE_MINOR


def make_orders(
    count: int, seed: int, slow_share: float = 0.0, *, growing: bool = False, one_sku: bool = False
) -> Iterator[Order]:
    """Make orders: 90 % paid, 5 % declined, 5 % short of the second line. The same seed gives the same orders.

    slow_share: of the authorize and of the capture calls (each) so many take 3 s. growing: ids are UUIDs of version 7,
    which grow with time, in place of random ones; indexes like that. one_sku: the first line of every order is of
    the same SKU.
    """
    draw = random.Random(seed)
    live = common.SKUS - common.EMPTY_SKUS
    for number in range(count):
        kind = {7: "declined", 13: "short"}.get(number % 20, "paid")
        first = 0 if one_sku else draw.randrange(live)
        second = (
            (first + draw.randrange(1, live)) % live if kind != "short" else live + draw.randrange(common.EMPTY_SKUS)
        )
        chance = draw.random()
        slow = kind == "paid" and chance < 2 * slow_share / 0.9
        token = "pm_card_chargeDeclined" if kind == "declined" else "pm_card_visa"
        if slow:
            token = "pm_fault_slow_3s_on_authorize" if chance < slow_share / 0.9 else "pm_fault_slow_3s_on_capture"
        yield Order(
            str(_growing_id(draw, seed, number) if growing else UUID(int=draw.getrandbits(128), version=4)),
            kind,
            f"cus_{draw.randrange(10**10):010d}",
            token,
            (f"SKU-{first:04d}", f"SKU-{second:04d}"),
            500 + draw.randrange(9000),
            slow,
        )


def _growing_id(draw: random.Random, seed: int, number: int) -> UUID:
    """Make a UUID of version 7 (RFC 9562, 5.7), an order a millisecond; a later seed's are later."""
    milliseconds = seed * ORDERS_MAX + number
    return UUID(int=milliseconds << 80 | 0x7 << 76 | draw.getrandbits(12) << 64 | 0x2 << 62 | draw.getrandbits(62))


def json_fields(order: Order) -> dict[str, Any]:
    """Say the order as the peers read it."""
    return {
        "event_id": str(uuid5(common.NS, order.order_id)),
        "event_type": "OrderConfirmed",
        "occurred_at": "2026-11-23T18:00:00.000000Z",
        "order_id": order.order_id,
        "correlation_id": order.order_id,
        "causation_id": None,
        "customer_id": order.customer_id,
        "currency": "EUR",
        "lines": [
            {"sku": order.skus[0], "name": "Cold brew 1 l", "quantity": 1, "unit_price_minor": order.price_minor},
            {"sku": order.skus[1], "name": "Sourdough loaf", "quantity": 2, "unit_price_minor": SECOND_MINOR},
        ],
        "delivery_fee_minor": DELIVERY_MINOR,
        "service_fee_minor": SERVICE_MINOR,
        "discount_minor": 0,
        "total_minor": order.total_minor,
        "payment_method_token": order.token,
    }


def event_of(order: Order, occurred_at: datetime) -> OrderConfirmed:
    """Say the order as checkout publishes it to this module."""
    return OrderConfirmed(
        event_id=uuid5(common.NS, order.order_id),
        occurred_at=occurred_at,
        order_id=order.order_id,
        correlation_id=order.order_id,
        causation_id=None,
        customer_id=order.customer_id,
        currency="EUR",
        lines=(
            Line(sku=order.skus[0], quantity=1, unit_price_minor=order.price_minor),
            Line(sku=order.skus[1], quantity=2, unit_price_minor=SECOND_MINOR),
        ),
        discount_minor=0,
        delivery_fee_minor=DELIVERY_MINOR,
        service_fee_minor=SERVICE_MINOR,
        total_minor=order.total_minor,
        payment_method=PaymentMethod(kind=PaymentMethodKind.CARD, token=order.token),
    )


def encoder(body: str, now: Callable[[], datetime]) -> Callable[[Order], bytes]:
    """Return what writes an order's first message. body: json, one-record (the limit's Avro) or contract (ours)."""
    match body:
        case "json":
            # Copied: orjson's own result keeps the whole buffer that it was written in, 8 KB an order.
            return lambda order: bytes(memoryview(orjson.dumps(json_fields(order))))
        case "one-record":
            encode = _one_record()
            return lambda order: encode(json_fields(order))
        case "contract":
            codec = Codec()
            at = now()
            return lambda order: codec.encode(event_of(order, at))
        case _:
            raise ValueError(body)


@cache
def _one_record() -> Callable[[dict[str, Any]], bytes]:
    return common.avro_codec()[0]
