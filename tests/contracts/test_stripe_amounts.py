"""What Stripe takes: which currencies, from which amount on, and what can still be read and given back."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from consumers.adapters.gateway.stripe_codes import Refusal
from consumers.adapters.gateway.stripe_currency import (
    CURRENCIES,
    amount_max,
    amount_min,
    amount_to_send,
    from_stripe,
    to_stripe,
)
from domain.failure_codes import FailureCode
from domain.ids import OperationId, OrderId
from domain.operation import GatewayCall, OperationKind
from schemas.money import EXPONENTS

AUTHORIZE = OperationKind.AUTHORIZE
OTHERS = [OperationKind.CAPTURE, OperationKind.VOID, OperationKind.REFUND]
MINIMA = """
USD 0.50 AED 2.00 ARS 0.50 AUD 0.50 BRL 0.50 CAD 0.50 CHF 0.50 COP 0.50 CZK 15.00 DKK 2.50 EUR 0.50 GBP 0.30 HKD 4.00
HUF 175.00 IDR 0.50 ILS 0.50 INR 0.50 JPY 50 KRW 50 MXN 10.00 MYR 2.00 NOK 3.00 NZD 0.50 PHP 0.50 PLN 2.00 RON 2.00
RUB 0.50 SEK 3.00 SGD 0.50 THB 10.00 ZAR 0.50
"""
# docs.stripe.com/currencies, "Minimum charge amount by currency", September 2026
LISTED = dict(zip(MINIMA.split()[::2], (int(text.replace(".", "")) for text in MINIMA.split()[1::2]), strict=True))


def call(kind: OperationKind, amount_minor: int, currency: str) -> GatewayCall:
    at, operation_id = datetime(2026, 11, 1, tzinfo=UTC), OperationId(UUID(int=1))
    return GatewayCall(operation_id, kind, "k", OrderId("o"), 1, amount_minor, currency, "pm_card_visa", None, None, at)


def refused(kind: OperationKind, amount_minor: int, currency: str) -> FailureCode:
    with pytest.raises(Refusal) as refusal:
        amount_to_send(call(kind, amount_minor, currency))
    return refusal.value.code


@pytest.mark.parametrize("currency", sorted(LISTED))
def test_less_than_stripes_minimum_is_not_sent(currency: str) -> None:
    least = LISTED[currency]

    assert amount_min(currency.lower()) == least
    assert amount_to_send(call(AUTHORIZE, least, currency)) == least
    assert refused(AUTHORIZE, least - 1, currency) is FailureCode.AMOUNT_TOO_SMALL


@pytest.mark.parametrize("currency", sorted(CURRENCIES - LISTED.keys()))
def test_where_stripe_lists_no_minimum_there_is_none(currency: str) -> None:
    assert amount_min(currency) == 1
    assert refused(AUTHORIZE, 0, currency) is FailureCode.AMOUNT_TOO_SMALL


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_there_already_can_be_given_back_in_small_parts(kind: OperationKind) -> None:
    assert amount_to_send(call(kind, 1, "EUR")) == 1


@pytest.mark.parametrize("currency", sorted(CURRENCIES))
def test_every_currency_is_one_of_the_door_and_has_a_range(currency: str) -> None:
    assert currency in EXPONENTS
    assert 0 < amount_min(currency) < amount_max(currency)


def test_the_caribbean_guilder_has_the_place_of_the_antillean_one() -> None:
    assert CURRENCIES & {"XCG", "ANG"} == {"XCG"}
    assert amount_to_send(call(AUTHORIZE, 1_250, "XCG")) == 1_250


@pytest.mark.parametrize("currency", ["ANG", "BGN", "STN", "STD", "KPW", "XXX", ""])
def test_a_currency_that_stripe_does_not_offer_is_never_charged(currency: str) -> None:
    assert refused(AUTHORIZE, 1_250, currency) is FailureCode.CURRENCY_NOT_OFFERED


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("currency", ["ANG", "BGN"])
def test_what_was_paid_in_a_withdrawn_currency_is_read_and_given_back(kind: OperationKind, currency: str) -> None:
    assert amount_to_send(call(kind, 1_250, currency)) == to_stripe(1_250, currency) == 1_250
    assert from_stripe(1_250, currency.lower()) == 1_250


def test_a_void_needs_no_currency() -> None:
    assert amount_to_send(call(OperationKind.VOID, 1_250, "DEM")) == 1_250
    assert refused(OperationKind.REFUND, 1_250, "DEM") is FailureCode.CURRENCY_NOT_OFFERED


@pytest.mark.parametrize("currency", ["std", "xxx"])
def test_an_answer_in_unknown_units_is_not_believed(currency: str) -> None:
    with pytest.raises(ValueError, match="whose units we do not know"):
        from_stripe(1_250, currency)
