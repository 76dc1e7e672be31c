"""The limits of amounts: a number for all currencies, or a limit for some of them."""

from collections.abc import Mapping
from typing import Final

from schemas.limits import AMOUNT_MAX_MINOR, limits_of
from schemas.money import is_currency

NAME: Final = "PAYMENTS_AMOUNT_MAX_MINOR"
LIMIT_MAX: Final = 10**15
"""Far above any limit that makes sense, and far below what the database can add up."""
_FORM: Final = f"{NAME} must be a number of minor units, or limits by currency like EUR=200000000,IDR=2000000000000"


def amount_limits(text: str | None) -> Mapping[str, int]:
    """Return the largest total of every currency, in its minor units. None: the defaults.

    Raises ValueError that says what to change.
    """
    if text is None:
        return AMOUNT_MAX_MINOR
    if "=" not in text:
        return limits_of(_limit(text, NAME))
    limits: dict[str, int] = {}
    for number, part in enumerate(text.split(","), start=1):
        currency, equals, limit = (each.strip() for each in part.partition("="))
        if not equals:
            raise ValueError(f"{_FORM}; its part {number} has no =")
        if not is_currency(currency):
            raise ValueError(
                f"{NAME}: its part {number} does not begin with an ISO 4217 currency in capitals, like EUR"
            )
        if currency in limits:
            raise ValueError(f"{NAME} names {currency} twice; leave one out")
        limits[currency] = _limit(limit, f"{NAME}: the limit of {currency}")
    return limits_of(limits)


def _limit(text: str, what: str) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError(_FORM if what == NAME else f"{what} must be a whole number of minor units")
    # So many digits are above the bound, and longer ones would take Python long to read.
    limit = int(digits) if len(digits) < 20 else LIMIT_MAX + 1
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"{what} must be 1 to {LIMIT_MAX} minor units")
    return limit
