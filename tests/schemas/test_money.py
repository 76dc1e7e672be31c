"""Minor units, currencies, and how amounts are written for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import EXPONENTS, WITHDRAWN, Money, exponent, is_currency


@pytest.mark.parametrize(
    ("currency", "digits"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("ISK", 0), ("MGA", 2)]
)
def test_a_currency_has_its_exponent(currency: str, digits: int) -> None:
    assert is_currency(currency)
    assert exponent(currency) == digits


@pytest.mark.parametrize("code", ["", "eur", "EURO", "XAU", "XXX", "XTS", "DEM", "978"])
def test_what_has_no_minor_unit_is_no_currency(code: str) -> None:
    assert not is_currency(code)
    with pytest.raises(ValueError, match="ISO 4217"):
        exponent(code)


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (1_234, "EUR", "12.34 EUR"),
        (5, "EUR", "0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (-1_234, "EUR", "-12.34 EUR"),
        (1_234, "JPY", "1234 JPY"),
        (0, "JPY", "0 JPY"),
        (1_234, "KWD", "1.234 KWD"),
        (2**63 - 1, "EUR", "92233720368547758.07 EUR"),
    ],
)
def test_money_is_written_with_all_its_decimals(amount_minor: int, currency: str, text: str) -> None:
    assert str(Money(amount_minor, currency)) == text


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (1_234, "ANG", "12.34 ANG"),
        (5, "BGN", "0.05 BGN"),
        (1_234, "DEM", "1234 minor units of DEM"),
        (-7, "", "-7 minor units of "),
    ],
)
def test_money_of_a_withdrawn_or_unknown_currency_can_still_be_read(
    amount_minor: int, currency: str, text: str
) -> None:
    assert str(Money(amount_minor, currency)) == text


def test_a_withdrawn_currency_is_no_currency_of_new_orders() -> None:
    assert EXPONENTS.keys() & WITHDRAWN.keys() == set()
    assert [code for code in WITHDRAWN if is_currency(code)] == []


@given(st.integers(-(2**70), 2**70), st.text() | st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3))
def test_any_stored_amount_can_be_shown(amount_minor: int, currency: str) -> None:
    assert str(Money(amount_minor, currency)).endswith(currency)
