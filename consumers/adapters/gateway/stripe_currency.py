"""Amounts in Stripe's units, which are not always ISO 4217's.

Source: Stripe's page on supported currencies (docs.stripe.com/currencies): the zero-decimal list, the special cases and
the presentment currencies. We refuse a currency that is not in this table before we send anything.
"""

from consumers.adapters.gateway.stripe_codes import Refusal
from domain.failure_codes import FailureCode

_TWO_DECIMALS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KYD "
    "KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD STN SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS "
    "WST XCD YER ZAR ZMW"
)
_ZERO_DECIMALS = "BIF CLP DJF GNF JPY KMF KRW PYG RWF VND VUV XAF XOF XPF"
_THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})

# Stripe's units in one ISO minor unit, where the two differ: (multiply, divide).
_SCALE: dict[str, tuple[int, int]] = {
    **dict.fromkeys(_TWO_DECIMALS.split(), (1, 1)),
    **dict.fromkeys(_ZERO_DECIMALS.split(), (1, 1)),
    **dict.fromkeys(_THREE_DECIMALS, (1, 1)),
    "ISK": (100, 1),  # ISO has no decimals; Stripe keeps two, always zero
    "UGX": (100, 1),
    "MGA": (1, 100),  # ISO has two decimals; Stripe none
}
CURRENCIES = frozenset(_SCALE)

_DIGITS_MAX = 8
_DIGITS_MAX_BY_CURRENCY = {"INR": 9, "COP": 10, "HUF": 10, "JPY": 10, "IDR": 12, "LBP": 12}


def to_stripe(amount_minor: int, currency: str) -> int:
    """Convert ISO 4217 minor units to the integer Stripe expects. Raises Refusal when it has none."""
    scale = _SCALE.get(currency)
    if scale is None:
        raise Refusal(FailureCode.CURRENCY_NOT_SUPPORTED, "currency_not_in_table")
    multiply, divide = scale
    amount, rest = divmod(amount_minor * multiply, divide)
    if rest or (currency in _THREE_DECIMALS and amount % 10):
        raise Refusal(FailureCode.AMOUNT_REFUSED, "amount_not_representable")
    return amount


def from_stripe(amount: int, currency: str) -> int:
    """Convert Stripe's integer to ISO 4217 minor units. Raises ValueError for a fraction of one."""
    multiply, divide = _SCALE[currency.upper()]
    minor, rest = divmod(amount * divide, multiply)
    if rest:
        raise ValueError(f"Stripe gave a fraction of a minor unit of {currency}: look at the transaction there.")
    return minor


def amount_max(currency: str) -> int:
    """Return the largest amount, in Stripe's units, that one charge in this currency may have."""
    return int(10 ** _DIGITS_MAX_BY_CURRENCY.get(currency.upper(), _DIGITS_MAX) - 1)
