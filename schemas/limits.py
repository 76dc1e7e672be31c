"""The largest total that an order may have, by currency: to catch a misplaced decimal point, and not to judge prices.

One number for all currencies would be a fortune in one and a cup of tea in another: 100,000,000 minor units are a
million euros, and 50 euros of Indonesian rupiah. So each currency has a default of its own, about a million euros.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from schemas.money import EXPONENTS

MAJOR_UNITS: Final = 1_000_000
# How many major units a euro buys, cut down to a power of ten, in rough numbers of 2026. What is not named is near the
# euro.
_TO_THE_EURO: Final = {
    10: "AFN BTN BWP COU CUP CZK DOP EGP ERN GHS GMD HNL INR KGS LSL MDL MKD MRU MUR MVR MXN MXV MZN NAD NIO NOK PHP "
    "RUB SCR SEK SLE SRD STN SZL THB TJS TRY TWD UAH UYU ZAR ZMW ZWG",
    100: "ALL AMD AOA BDT CRC CVE DJF DZD ETB GYD HTG HUF ISK JMD JPY KES KMF KPW KZT LKR LRD NPR PKR RSD SDG SOS SYP "
    "VED VES VUV XAF XOF XPF YER",
    1_000: "ARS BIF CDF CLP COP IQD KHR KRW MGA MMK MNT MWK NGN PYG RWF SSP TZS UGX",
    10_000: "GNF IDR IRR LAK UZS VND",
    100_000: "LBP",
}


def _defaults() -> Mapping[str, int]:
    euros = {currency: rate for rate, currencies in _TO_THE_EURO.items() for currency in currencies.split()}
    return MappingProxyType(
        {currency: MAJOR_UNITS * euros.get(currency, 1) * 10**digits for currency, digits in EXPONENTS.items()}
    )


AMOUNT_MAX_MINOR: Final = _defaults()
"""By currency, in its minor units."""


def limits_of(given: int | Mapping[str, int]) -> Mapping[str, int]:
    """Return the limit of every currency. A number holds for all of them; a mapping changes those that it names."""
    if isinstance(given, int):
        return MappingProxyType(dict.fromkeys(EXPONENTS, given))
    return MappingProxyType({**AMOUNT_MAX_MINOR, **given})
