"""Amounts in Stripe's units, which are not always ISO 4217's; Stripe's currencies, its least and its largest amounts.

Sources: Stripe's page on supported currencies (docs.stripe.com/currencies) as of September 2026: the presentment
currencies, the zero-decimal list, the special cases, the minimum charge amounts. For currencies with three decimals and
for some maxima an older text of the same page. We refuse what is not in these tables before we send anything.

Three things on that page are not taken over. STD is the old dobra, and STN, which ISO has now, is not offered: their
units differ a thousandfold, so both are refused. ANG is still listed, but ISO has withdrawn it: XCG has its place. BGN
is on neither list since Bulgaria has the euro. What was paid in a withdrawn currency can still be read and refunded.
"""

from typing import Final

from consumers.adapters.gateway.stripe_codes import Refusal
from domain.failure_codes import FailureCode
from domain.operation import GatewayCall, OperationKind

_TWO_DECIMALS: Final = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC CVE CZK "
    "DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KYD KZT LAK "
    "LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN "
    "QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS WST XCD XCG "
    "YER ZAR ZMW"
)
_ZERO_DECIMALS: Final = "BIF CLP DJF GNF JPY KMF KRW PYG RWF VND VUV XAF XOF XPF"
_THREE_DECIMALS: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Stripe takes them from some accounts only; the last digit must be 0."""
_WITHDRAWN: Final = "ANG BGN STN"
"""What we once charged and no longer do."""

_SCALE: Final[dict[str, tuple[int, int]]] = {
    **dict.fromkeys(_TWO_DECIMALS.split(), (1, 1)),
    **dict.fromkeys(_ZERO_DECIMALS.split(), (1, 1)),
    **dict.fromkeys(_THREE_DECIMALS, (1, 1)),
    "ISK": (100, 1),  # ISO has no decimals; Stripe keeps two, always zero
    "UGX": (100, 1),
    "MGA": (1, 100),  # ISO has two decimals; Stripe none
}
"""Stripe's units in one ISO minor unit, where the two differ: (multiply, divide)."""
CURRENCIES: Final = frozenset(_SCALE)
_READABLE: Final = {**_SCALE, **dict.fromkeys(_WITHDRAWN.split(), (1, 1))}

_MINIMUM: Final = {
    30: "GBP",
    50: "USD ARS AUD BRL CAD CHF COP EUR IDR ILS INR JPY KRW NZD PHP RUB SGD ZAR",
    2_00: "AED MYR PLN RON",
    2_50: "DKK",
    3_00: "NOK SEK",
    4_00: "HKD",
    10_00: "MXN THB",
    15_00: "CZK",
    175_00: "HUF",
}
"""The least charge in Stripe's units. Where an account is paid out in another currency, Stripe's own is higher."""
_MINIMUM_OF: Final = {currency: least for least, currencies in _MINIMUM.items() for currency in currencies.split()}

_DIGITS_MAX: Final = 8
_DIGITS_MAX_BY_CURRENCY: Final = {"INR": 9, "COP": 10, "HUF": 10, "JPY": 10, "IDR": 12, "LBP": 12}


def amount_to_send(call: GatewayCall) -> int:
    """Return the amount of a call in Stripe's units. Raises Refusal for what cannot be asked of Stripe.

    Only a charge must be of a currency that Stripe offers and of its least amount: what is held or paid already can
    always be captured, and given back in parts. A void names no amount, so none can be wrong.
    """
    if call.kind is OperationKind.VOID:
        return call.amount_minor
    if call.kind is not OperationKind.AUTHORIZE:
        return to_stripe(call.amount_minor, call.currency)
    if call.currency not in CURRENCIES:
        raise Refusal(FailureCode.CURRENCY_NOT_OFFERED, "currency_not_in_table")
    amount = to_stripe(call.amount_minor, call.currency)
    if amount < amount_min(call.currency):
        raise Refusal(FailureCode.AMOUNT_TOO_SMALL, "amount_too_small")
    return amount


def to_stripe(amount_minor: int, currency: str) -> int:
    """Convert ISO 4217 minor units to the integer Stripe expects. Raises Refusal when it has none."""
    scale = _READABLE.get(currency)
    if scale is None:
        raise Refusal(FailureCode.CURRENCY_NOT_OFFERED, "currency_not_in_table")
    multiply, divide = scale
    amount, rest = divmod(amount_minor * multiply, divide)
    if rest or (currency in _THREE_DECIMALS and amount % 10):
        raise Refusal(FailureCode.AMOUNT_REFUSED, "amount_not_representable")
    return amount


def from_stripe(amount: int, currency: str) -> int:
    """Convert Stripe's integer to ISO 4217 minor units.

    Raises ValueError for a fraction of a minor unit, and for a currency whose units we do not know.
    """
    scale = _READABLE.get(currency.upper())
    if scale is None:
        raise ValueError(f"Stripe gave an amount in {currency}, whose units we do not know: look at it there.")
    multiply, divide = scale
    minor, rest = divmod(amount * divide, multiply)
    if rest:
        raise ValueError(f"Stripe gave a fraction of a minor unit of {currency}: look at the transaction there.")
    return minor


def amount_min(currency: str) -> int:
    """Return the least amount, in Stripe's units, that one charge in this currency may have: 1 where none is listed."""
    return _MINIMUM_OF.get(currency.upper(), 1)


def amount_max(currency: str) -> int:
    """Return the largest amount, in Stripe's units, that one charge in this currency may have."""
    return int(10 ** _DIGITS_MAX_BY_CURRENCY.get(currency.upper(), _DIGITS_MAX) - 1)
