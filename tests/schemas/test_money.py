"""Minor units, currencies, and how amounts are written for people."""

import pytest

from schemas.money import Money, exponent, is_currency


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
    with pytest.raises(ValueError, match="ISO 4217"):
        Money(1, code)


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
