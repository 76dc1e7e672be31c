"""Numbers that pass Luhn by chance are no card numbers: in ids, SKUs, times and amounts nothing is looked for."""

import random
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from schemas.cards import is_card_number
from schemas.codec import Codec
from schemas.events import Line, OrderConfirmed
from schemas.writing import EPOCH
from tests.schemas.builders import order_confirmed

MANY = 100_000
LINES = 500
CODEC = Codec(amount_max_minor=2**62)


def digits(seed: int, length: int) -> Iterator[str]:
    drawn = random.Random(seed)
    for _ in range(MANY):
        yield str(drawn.randrange(10 ** (length - 1), 10**length))


def passes(order: OrderConfirmed) -> bool:
    """Return whether the order is read as it was written, and kept as it is should it become a dead letter."""
    value = CODEC.encode(order)
    read = CODEC.decode("OrderConfirmed", order.order_id.encode(), value)
    return read == order and CODEC.mask("OrderConfirmed", value) == (value, 0)


@pytest.mark.parametrize("length", [13, 14, 16])
def test_100_000_article_numbers_as_skus_pass_untouched(length: int) -> None:
    skus = list(digits(length, length))
    assert length == 13 or sum(map(is_card_number, skus)) > 100, "some of them would be card numbers elsewhere"

    for at in range(0, MANY, LINES):
        lines = tuple(Line(sku=sku, quantity=1, unit_price_minor=1) for sku in skus[at : at + LINES])
        assert passes(order_confirmed(lines=lines))


def test_100_000_order_ids_event_ids_timestamps_and_amounts_pass_untouched() -> None:
    drawn = random.Random(7)
    template = order_confirmed()
    for number in digits(16, 16):
        price = int(number)
        order = template.model_copy(
            update={
                "event_id": UUID(int=drawn.getrandbits(128)),
                "causation_id": UUID(f"{price:032d}"),
                "occurred_at": EPOCH + timedelta(microseconds=drawn.randrange(2 * 10**15)),
                "order_id": number,
                "correlation_id": number,
                "customer_id": number,
                "lines": (Line(sku=number, quantity=1, unit_price_minor=price),),
                "discount_minor": 0,
                "delivery_fee_minor": price,
                "service_fee_minor": 0,
                "tax_minor": 0,
                "total_minor": 2 * price,
            }
        )
        assert passes(order)
