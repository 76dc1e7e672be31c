"""Stripe's documented test cards: which there are, and what each does.

Source: docs.stripe.com/testing, tab PaymentMethods, as of 2026-08. Tables of names; `methods.py` gives them their life.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """What a payment method shows of its card."""

    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    last4: str = "4242"


@dataclass(frozen=True, slots=True)
class CardDecline:
    """Why an issuer or a bank declined, in Stripe's words. decline_code: None where it was no issuer of a card."""

    code: str
    decline_code: str | None
    message: str
    advice_code: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A dispute that follows a payment, in Stripe's words. eligible_for: evidence of its own kind that it may be given.

    final: the bank takes no answer; it is lost as it begins.
    """

    reason: str = "fraudulent"
    case_type: str = "chargeback"
    network_reason_code: str | None = "10.4"
    eligible_for: str | None = None
    final: bool = False


_BRANDS = {
    "visa": Card(),
    "visa_debit": Card(funding="debit", last4="5556"),
    "mastercard": Card("mastercard", last4="4444"),
    "mastercard_debit": Card("mastercard", "debit", last4="8210"),
    "mastercard_prepaid": Card("mastercard", "prepaid", last4="5100"),
    "amex": Card("amex", last4="0005"),
    "amex_threeDSecureNotSupported": Card("amex", last4="0005"),
    "discover": Card("discover", last4="1117"),
    "diners": Card("diners", last4="0004"),
    "jcb": Card("jcb", country="JP", last4="0505"),
    "unionpay": Card("unionpay", country="CN", last4="0005"),
    "visa_cartesBancaires": Card(country="FR", last4="1001"),
    "mastercard_cartesBancaires": Card("mastercard", country="FR", last4="1001"),
    "visa_debit_eftposAuCoBranded": Card(funding="debit", country="AU", last4="0001"),
    "mastercard_debit_eftposAuCoBranded": Card("mastercard", "debit", "AU", "0080"),
    "ae_mastercard": Card("mastercard", country="AE", last4="0022"),
    "gb_debit": Card(funding="debit", country="GB", last4="0005"),
    "gb_mastercard": Card("mastercard", country="GB", last4="4449"),
    "th_credit": Card(country="TH", last4="0003"),
    "th_debit": Card(funding="debit", country="TH", last4="0008"),
    "debit_visaFsaProductCode": Card(funding="debit", last4="0072"),
    "debit_visaHsaProductCode": Card(funding="debit", last4="0072"),
    "mastercard_debit_mastercardFsaProductCode": Card("mastercard", "debit", last4="8897"),
}
# A Visa card of each country: the country's code in small letters.
_COUNTRIES = (
    "us ar br ca cl co cr ec mx pa py pe uy ae at be bg by hr cy cz dk ee fi fr de gi gr hu ie it lv li lt lu mt nl no "
    "pl pt ro si sk es se ch gb au cn hk in jp my nz sg tw"
)
# Cards that Radar blocks under some settings only, and those whose checks fail: with the default settings they succeed.
_PASSES = (
    "bypassPending bypassPendingInternational riskLevelElevated highFraudDisputeScore highEfwScore "
    "radarDynamicRiskThreshold freeTrialAbuseBlock adaptive3dsChallenge cvcCheckFail avsZipFail "
    "cvcCheckFailElevatedRisk avsZipFailElevatedRisk avsLine1Fail avsFail avsUnchecked threeDSecureOptional "
    "threeDSecureOptionalProcessingError"
)
# Names of an older documentation; Stripe still takes them.
_OLDER = "domesticPricing threeDSecureNotSupported"

DISPUTES = {
    "createDispute": (Case(),),
    "createDisputeProductNotReceived": (Case("product_not_received", network_reason_code="13.1"),),
    "createDisputeInquiry": (Case(case_type="inquiry", network_reason_code="10"),),
    "createMultipleDisputes": (Case(), Case()),
    "createCe3EligibleDispute": (Case(eligible_for="visa_compelling_evidence_3"),),
    "createComplianceDispute": (Case("noncompliant", "compliance", None, "visa_compliance"),),
    "createMastercardComplianceDispute": (Case("noncompliant", "compliance", None, "mastercard_compliance"),),
    "createAutoRepresentmentEligibleDispute": (Case(),),
}
"""The disputes that follow the capture. Several divide the money among them."""
EARLY_FRAUD_WARNINGS = ("createIssuerFraudRecord",)

DECLINES = {
    "chargeDeclined": ("card_declined", "generic_decline"),
    "chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "chargeDeclinedStolenCard": ("card_declined", "stolen_card"),
    "chargeDeclinedExpiredCard": ("expired_card", "expired_card"),
    "chargeDeclinedIncorrectCvc": ("incorrect_cvc", "incorrect_cvc"),
    "chargeDeclinedProcessingError": ("processing_error", "processing_error"),
    "chargeDeclinedFraudulent": ("card_declined", "fraudulent"),
    "chargeDeclinedVelocityLimitExceeded": ("card_declined", "card_velocity_exceeded"),
    "chargeCustomerFail": ("card_declined", "generic_decline"),
    "chargeCustomerFailLostCard": ("card_declined", "lost_card"),
    "chargeCustomerFailStolenCard": ("card_declined", "stolen_card"),
    "radarBlock": ("card_declined", "fraudulent"),
    "riskLevelHighest": ("card_declined", "fraudulent"),
}
"""Error code and decline code. Each is also known with `visa_` before it."""

ASKS_CUSTOMER = {
    "authenticationRequired": None,
    "authenticationRequiredOnSetup": None,
    "authenticationRequiredSetupForOffSession": None,
    "authenticationRequiredChargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "threeDSecure2Required": None,
    "threeDSecureRequired": None,
    "threeDSecureRequiredChargeDeclined": ("card_declined", "generic_decline"),
    "threeDSecureRequiredProcessingError": ("processing_error", "processing_error"),
}
"""What the issuer says after the customer has proven who they are: None where it approves."""
SET_UP_FOR_OFF_SESSION = "authenticationRequiredSetupForOffSession"


_ADVICE = {"generic_decline": "try_again_later"}


def good_cards() -> Iterator[tuple[str, Card]]:
    """Return every test card that is simply authorized, by its name without `pm_card_`."""
    yield from _BRANDS.items()
    for country in _COUNTRIES.split():
        yield country, Card(country=country.upper())
    for name in f"{_PASSES} {_OLDER}".split():
        yield name, Card()


def declined(code: str, decline_code: str) -> CardDecline:
    """Return a decline with these codes, and with the advice that recordings of Stripe's test mode show for it."""
    return CardDecline(code, decline_code, f"The card was declined ({decline_code}).", _ADVICE.get(decline_code))
