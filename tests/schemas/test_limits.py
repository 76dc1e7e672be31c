"""The largest total of an order, by currency."""

import pytest

from schemas.codec import Codec
from schemas.events import OrderConfirmed
from schemas.limits import AMOUNT_MAX_MINOR
from schemas.money import EXPONENTS
from schemas.rejection import Reason, Rejected
from tests.schemas.builders import order_confirmed

KEY = b"order-1"


def refusal(codec: Codec, order: OrderConfirmed) -> Rejected:
    with pytest.raises(Rejected) as refused:
        codec.decode("OrderConfirmed", KEY, codec.encode(order))
    return refused.value


def decoded(codec: Codec, order: OrderConfirmed) -> object:
    return codec.decode("OrderConfirmed", KEY, codec.encode(order))


def test_a_number_is_the_limit_of_every_currency() -> None:
    codec = Codec(amount_max_minor=3_080)

    for currency in ("EUR", "IDR", "KWD"):
        assert decoded(codec, order_confirmed(currency=currency)) == order_confirmed(currency=currency)
        assert refusal(codec, order_confirmed(currency=currency, tax_minor=81)).reason is Reason.AMOUNT_LIMIT


def test_a_limit_of_one_currency_says_nothing_of_the_others() -> None:
    refused = refusal(Codec(amount_max_minor={"EUR": 3_079}), order_confirmed())

    assert refused.reason is Reason.AMOUNT_LIMIT
    assert "above 3079, the limit in EUR" in refused.detail
    assert "PAYMENTS_AMOUNT_MAX_MINOR" in refused.detail
    for limits in ({"EUR": 3_080}, {"IDR": 1}):
        assert decoded(Codec(amount_max_minor=limits), order_confirmed()) == order_confirmed()


def test_85_euros_in_rupiah_pass_the_door_without_a_setting() -> None:
    order = order_confirmed(currency="IDR", tax_minor=150_000_000)

    assert decoded(Codec(), order) == order


@pytest.mark.parametrize("currency", sorted(EXPONENTS))
def test_every_currency_has_a_limit_that_catches_a_misplaced_point(currency: str) -> None:
    limit = AMOUNT_MAX_MINOR[currency]

    assert 1_000_000 * 10 ** EXPONENTS[currency] <= limit <= 10**15
    assert refusal(Codec(), _costing(limit + 1, currency)).reason is Reason.AMOUNT_LIMIT
    assert decoded(Codec(), _costing(limit, currency)) == _costing(limit, currency)


def test_what_passed_the_checks_of_its_day_is_still_read() -> None:
    codec = Codec(amount_max_minor=1)
    for order in (order_confirmed(), order_confirmed(currency="BGN")):
        assert codec.read("OrderConfirmed", KEY, codec.encode(order)) == order
        refusal(codec, order)
    with pytest.raises(Rejected, match="key_mismatch"):
        codec.read("OrderConfirmed", b"order-2", codec.encode(order_confirmed()))


def _costing(total_minor: int, currency: str) -> OrderConfirmed:
    return order_confirmed(currency=currency, tax_minor=80 + total_minor - 3_080)
