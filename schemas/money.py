"""Money: an integer of minor units and an ISO 4217 code. Nothing here divides or rounds."""

from dataclasses import dataclass
from typing import Final

from iso4217 import Currency

EXPONENTS: Final[dict[str, int]] = {
    currency.code: currency.exponent for currency in Currency if currency.exponent is not None
}
"""Digits after the decimal point, by currency code. Codes without a minor unit (gold, test codes) are left out."""


WITHDRAWN: Final[dict[str, int]] = {"ANG": 2, "BGN": 2, "CUC": 2, "HRK": 2, "MRO": 2, "SLL": 2, "STD": 2, "ZWL": 2}
"""Digits of currencies that ISO 4217 withdrew after 2016, only to show old amounts. No new order may have one."""


def is_currency(code: str) -> bool:
    """Return whether amounts can be stated in this currency: an ISO 4217 code in capitals that has a minor unit."""
    return code in EXPONENTS


def exponent(currency: str) -> int:
    """Return the number of digits after the decimal point: EUR 2, JPY 0, KWD 3.

    Raises ValueError for an unknown currency; call is_currency first.
    """
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise ValueError("This is not an ISO 4217 currency with a minor unit; check it with is_currency.") from None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the minor unit of its currency, to be shown to people.

    It takes any currency, and never raises: what was stored once stays readable, also when ISO 4217 has withdrawn its
    currency since. `is_currency` guards the door.
    """

    amount_minor: int
    currency: str

    def __str__(self) -> str:
        """Format in major units with all decimals: 12.34 EUR, 1234 JPY, -0.005 KWD; else 1234 minor units of XYZ."""
        digits = EXPONENTS.get(self.currency, WITHDRAWN.get(self.currency))
        if digits is None:
            return f"{self.amount_minor} minor units of {self.currency}"
        sign = "-" if self.amount_minor < 0 else ""
        text = str(abs(self.amount_minor)).rjust(digits + 1, "0")
        major, minor = (text[:-digits], "." + text[-digits:]) if digits else (text, "")
        return f"{sign}{major}{minor} {self.currency}"
