"""The limits of amounts: a number for all currencies, or a limit for some of them."""

from collections.abc import Mapping
from typing import Final

from schemas.limits import AMOUNT_MAX_MINOR, limits_of
from schemas.money import is_currency

NAME: Final = "PAYMENTS_AMOUNT_MAX_MINOR"
LIMIT_MAX: Final = 10**15
"""Far above any limit that makes sense, and far below what the database can add up."""
FOUR_EYES: Final = "PAYMENTS_FOUR_EYES_MINOR"
_FORM: Final = "must be a number of minor units, or limits by currency like EUR=200000000,IDR=2000000000000"


def amount_limits(text: str | None) -> Mapping[str, int]:
    """Return the largest total of every currency, in its minor units. None: the defaults.

    Raises ValueError that says what to change.
    """
    if text is None:
        return AMOUNT_MAX_MINOR
    if "=" not in text:
        return limits_of(_limit(text, NAME))
    return limits_of(_by_currency(text, NAME, 1))


def four_eyes_limits(text: str | None) -> Mapping[str, int] | None:
    """Return up to which sum of an order's refunds one person decides, by currency, in minor units. None: no limit.

    A currency that is not named has none. 0: every refund needs a second person. Raises ValueError as amount_limits.
    """
    if text is None:
        return None
    if "=" not in text:
        return dict.fromkeys(AMOUNT_MAX_MINOR, _limit(text, FOUR_EYES, 0))
    return _by_currency(text, FOUR_EYES, 0)


def _by_currency(text: str, name: str, least: int) -> dict[str, int]:
    limits: dict[str, int] = {}
    for number, part in enumerate(text.split(","), start=1):
        currency, equals, limit = (each.strip() for each in part.partition("="))
        if not equals:
            raise ValueError(f"{name} {_FORM}; its part {number} has no =")
        if not is_currency(currency):
            raise ValueError(
                f"{name}: its part {number} does not begin with an ISO 4217 currency in capitals, like EUR"
            )
        if currency in limits:
            raise ValueError(f"{name} names {currency} twice; leave one out")
        limits[currency] = _limit(limit, f"{name}: the limit of {currency}", least)
    return limits


def _limit(text: str, what: str, least: int = 1) -> int:
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()):
        named = what in {NAME, FOUR_EYES}
        raise ValueError(f"{what} {_FORM}" if named else f"{what} must be a whole number of minor units")
    # So many digits are above the bound, and longer ones would take Python long to read.
    limit = int(digits) if len(digits) < 20 else LIMIT_MAX + 1
    if not least <= limit <= LIMIT_MAX:
        raise ValueError(f"{what} must be {least} to {LIMIT_MAX} minor units")
    return limit
